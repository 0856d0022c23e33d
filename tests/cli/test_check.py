import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.parts.certificates import TestAuthority
from tests.parts.command import Terminal


def test_a_new_deployment_is_fine(deployed: Terminal) -> None:
    ran = deployed.run("check")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "ok: 1 targets, 2 roles, 1 holds, 1 masks, 3 tests passed\n"
    ran = deployed.run("check", "--json")
    assert json.loads(ran.out) == {"schema": "doorward/1", "ok": True, "problems": []}


def replace(file: str, old: str, new: str) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new))

    return act


def with_tls(mode: int, cert: str) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        _, key = TestAuthority(folder).pair("127.0.0.1")
        key.chmod(mode)
        with (folder / "doorward.yaml").open("a") as settings:
            settings.write(f"tls: {{cert: {cert}, key: {key}}}\n")

    return act


def chmod(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).chmod(0o644)


def remove(*files: str) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        for file in files:
            (folder / file).unlink()

    return act


POLICY = "policies/example.yaml"
WRONG: dict[str, tuple[Callable[[Path], None], str]] = {
    "a test that fails": (replace(POLICY, "expect: hold", "expect: allow"), f"{POLICY.partition('/')[2]}:"),
    "an unknown role": (replace(POLICY, "{role: example-editor,", "{role: editor,"), "example.yaml:"),
    "an unknown key": (replace(POLICY, "expires: 15m", "expire: 15m"), "expire"),
    "no policy": (remove(POLICY), "no policy files"),
    "a secret that others read": (chmod("secrets/example-token"), "0644"),
    "a console's secret that others read": (chmod("secrets/console"), "0644"),
    "a secret that is not there": (remove("secrets/example-token"), "example-token"),
    "no deployment key": (remove("var/deployment.key"), "deployment.key"),
    "no root": (remove("certs/doorward-root.pem"), "no root certificate"),
    "a root's key that is needed": (remove("certs/doorward-root-key.pem"), "must be issued anew"),
    "a listener's key that others read": (with_tls(0o644, "targets-ca.pem"), "0644"),
    "a listener's certificate of another key": (with_tls(0o600, "targets-ca.pem"), "a key of another one"),
    "a listener's certificate that is not there": (with_tls(0o600, "absent.pem"), "no certificate"),
    "a ca that is not there": (replace(POLICY, "kind: http", "kind: http\n    ca: certs/absent.pem"), "absent.pem"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_serve_would_stumble_over_is_found(deployed: Terminal, case: str) -> None:
    act, words = WRONG[case]
    act(deployed.folder)
    ran = deployed.run("check")
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err
    assert ran.err.count("doorward: error: ") == ran.err.count("doorward: hint: ") >= 1
    found = json.loads(deployed.run("check", "--json").out)
    assert found["ok"] is False
    assert any(words in each["message"] for each in found["problems"])


def test_all_that_is_wrong_is_said_at_once(deployed: Terminal) -> None:
    for case in ("a test that fails", "a secret that others read", "no root"):
        WRONG[case][0](deployed.folder)
    assert deployed.run("check").err.count("doorward: error: ") == 3
