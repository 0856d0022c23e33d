from pathlib import Path
from typing import Any

import pytest

from doorward.core.policy import Policy
from doorward.core.policy_file import load_policy
from doorward.errors import Misconfigured
from doorward.gateway.authorities import with_authorities
from tests.parts.certificates import TestAuthority


def policy_with(**target: Any) -> Policy:
    described = {"kind": "http", "url": "https://billing.internal", "hosts": ["billing.internal"]} | target
    return load_policy({"p.yaml": str({"targets": {"billing": described}})}, issuers=(), credentials=())


def test_a_relative_path_starts_at_the_settings(tmp_path: Path) -> None:
    (tmp_path / "certs").mkdir()
    ca = TestAuthority(tmp_path / "certs").ca
    placed = with_authorities(policy_with(ca=f"certs/{ca.name}"), tmp_path)
    assert placed.targets["billing"].ca == str(ca)
    assert with_authorities(placed, tmp_path / "elsewhere") == placed


def test_the_systems_store_needs_no_file(tmp_path: Path) -> None:
    policy = policy_with()
    assert with_authorities(policy, tmp_path) == policy


@pytest.mark.parametrize(
    ("content", "says"), [(None, "No such file"), (b"", "no certificates"), (b"-----BEGIN nothing", "no certificates")]
)
def test_what_is_no_authority_is_found_at_the_load(tmp_path: Path, content: bytes | None, says: str) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(Misconfigured, match="target 'billing'") as wrong:
        with_authorities(policy_with(ca="ca.pem"), tmp_path)
    assert says in wrong.value.message
    assert wrong.value.where == str(file)
    assert wrong.value.cause == "ca-unusable"
    assert wrong.value.hint
