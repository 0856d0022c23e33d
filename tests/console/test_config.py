"""Roles come from groups, and from nothing else."""

import pytest

from doorward.console.config import ConsoleConfig
from doorward.model import Principal
from doorward.oidc.issuer import Issuer

CONFIG = ConsoleConfig(
    issuer=Issuer("corp", "https://idp.example", "doorward"),
    client_id="doorward-console",
    client_secret="sesame-open-sesame",
    roles={"viewer": ("corp:staff",), "reviewer": ("corp:sre", "corp:owners")},
    public_url="https://doorward.example",
)


@pytest.mark.parametrize(
    ("groups", "roles"),
    [
        ((), set()),
        (("corp:choir", "sre", "other:sre", "CORP:SRE"), set()),
        (("corp:staff",), {"viewer"}),
        (("corp:owners",), {"reviewer"}),
        (("corp:staff", "corp:sre"), {"viewer", "reviewer"}),
    ],
)
def test_roles(groups: tuple[str, ...], roles: set[str]) -> None:
    assert CONFIG.roles_of(Principal("corp", "anna", groups)) == roles


def test_the_secret_is_not_shown() -> None:
    assert "sesame" not in repr(CONFIG)
