import os
from pathlib import Path

import pytest

from doorward.errors import Misconfigured
from doorward.settings import (
    SecretSettings,
    agent_token,
    issuers_of,
    parse_settings,
    read_policy_files,
    read_secret,
    runtime_folder,
)
from tests.parts.settings import ISSUERS, parsed


def test_issuers_as_the_verifier_knows_them() -> None:
    (corp,) = issuers_of(parsed("    longest: 5m\n    owner: owner\n    groups: roles\n    algorithms: [ES256]\n"))
    assert (corp.alias, corp.url, corp.audience) == ("corp", "https://idp.example", "doorward")
    assert (corp.algorithms, corp.longest_s, corp.groups_claim, corp.owner_claim) == (("ES256",), 300, "roles", "owner")
    with pytest.raises(Misconfigured):
        issuers_of(parsed(start=ISSUERS.replace("https", "http")))


def test_the_runtime_folder_moves_where_a_socket_would_not_fit() -> None:
    near = parse_settings(ISSUERS, Path("/d/doorward.yaml"))
    assert runtime_folder(near) == Path("/d/var/run")
    far = runtime_folder(parse_settings(ISSUERS, Path("/" + "d" * 100) / "doorward.yaml"))
    assert str(os.getuid()) in far.name
    assert len(str(far)) < 90
    assert far != runtime_folder(parse_settings(ISSUERS, Path("/" + "e" * 100) / "doorward.yaml"))


def test_a_secret_of_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret"
    file.touch(mode=0o600)
    with pytest.raises(Misconfigured, match="is empty"):
        read_secret(SecretSettings(file=file))
    file.write_text(" s3cr3t-word\n")
    assert read_secret(SecretSettings(file=file)) == "s3cr3t-word"
    file.chmod(0o644)
    with pytest.raises(Misconfigured, match="0644") as open_to_all:
        read_secret(SecretSettings(file=file))
    assert "s3cr3t-word" not in str(open_to_all.value)
    monkeypatch.setenv("THE_SECRET", "s3cr3t-word")
    assert read_secret(SecretSettings(env="THE_SECRET")) == "s3cr3t-word"
    monkeypatch.delenv("THE_SECRET")
    with pytest.raises(Misconfigured, match="THE_SECRET"):
        read_secret(SecretSettings(env="THE_SECRET"))


def test_the_files_of_the_policy(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="no policy files"):
        read_policy_files(tmp_path)
    with pytest.raises(Misconfigured, match="no policy files"):
        read_policy_files(tmp_path / "absent")
    (tmp_path / "b.yaml").write_text("b")
    (tmp_path / "a.yaml").write_text("a")
    (tmp_path / "notes.txt").write_text("c")
    assert list(read_policy_files(tmp_path).items()) == [("a.yaml", "a"), ("b.yaml", "b")]
    (tmp_path / "c.yaml").symlink_to(tmp_path / "nowhere")
    with pytest.raises(Misconfigured, match="cannot read"):
        read_policy_files(tmp_path)
    (tmp_path / "c.yaml").unlink()
    (tmp_path / "d.yaml").write_bytes(b"\xff")
    with pytest.raises(Misconfigured, match="cannot read"):
        read_policy_files(tmp_path)
    (tmp_path / "d.yaml").write_bytes(b" " * (4 << 20))
    with pytest.raises(Misconfigured, match="too much policy"):
        read_policy_files(tmp_path)


def test_the_token_of_a_command_that_acts_as_an_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOORWARD_TOKEN", " a.b.c\n")
    assert agent_token() == "a.b.c"
    monkeypatch.setenv("DOORWARD_TOKEN", " ")
    with pytest.raises(Misconfigured) as error:
        agent_token()
    assert error.value.cause == "token-absent"
