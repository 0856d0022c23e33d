import stat
from pathlib import Path

from tests.parts.command import Terminal


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_a_new_deployment(terminal: Terminal) -> None:
    ran = terminal.run("init", "--issuer", "https://idp.corp")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == (
        "made ~/doorward.yaml\n"
        "made ~/secrets/console: put the real secret there\n"
        "made ~/secrets/example-token: put the real secret there\n"
        "made ~/policies/example.yaml\n"
        "made ~/certs/doorward-root-key.pem: take it offline once the gateway has started\n"
        "agents trust ~/certs/doorward-root.pem; go on with `doorward check`, then `doorward serve`\n"
    )
    assert "issuer: https://idp.corp" in (terminal.folder / "doorward.yaml").read_text()
    for name in ("secrets/console", "secrets/example-token", "certs/doorward-root-key.pem", "var/deployment.key"):
        assert mode(terminal.folder / name) == 0o600
    assert mode(terminal.folder / "var") == 0o700
    assert terminal.run("check").code == 0


def test_what_is_there_stays(deployed: Terminal) -> None:
    files = {file: file.read_bytes() for file in deployed.folder.rglob("*") if file.is_file()}
    ran = deployed.run("init")
    assert ran.code == 0
    assert ran.err.startswith("kept ~/certs/doorward-root.pem\n")
    assert {file: file.read_bytes() for file in deployed.folder.rglob("*") if file.is_file()} == files


def test_an_issuer_that_cannot_be_safe_is_refused(terminal: Terminal) -> None:
    ran = terminal.run("init", "--issuer", "http://idp.corp")
    assert ran.code == 2
    assert "is no https URL" in ran.err
