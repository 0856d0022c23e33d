import subprocess

import pytest

from tests.parts.command import Terminal


def test_what_a_shell_makes_of_it(deployed: Terminal) -> None:
    ran = deployed.run("agent", "env", "--label", "my-agent")
    assert (ran.code, ran.err) == (0, "")
    script = ran.out.replace("~", str(deployed.folder)) + 'echo "$HTTPS_PROXY|$https_proxy|$NO_PROXY|$SSL_CERT_FILE"\n'
    shell = subprocess.run(
        ["sh", "-c", script], env={"DOORWARD_TOKEN": "t0ken"}, capture_output=True, text=True, timeout=10, check=True
    )
    proxy = "http://my-agent:t0ken@127.0.0.1:8080"
    assert shell.stdout == f"{proxy}|{proxy}||{deployed.folder}/certs/doorward-root.pem\n"
    bare = subprocess.run(["sh", "-c", script], env={}, capture_output=True, text=True, timeout=10, check=False)
    assert bare.returncode != 0
    assert "set it to a token" in bare.stderr


@pytest.mark.parametrize("label", ["a$(id)", "a`id`", 'a"; id #', "a b", "a@b", "a:b", ""])
def test_what_a_shell_could_run_is_refused(deployed: Terminal, label: str) -> None:
    ran = deployed.run("agent", "env", "--label", label)
    assert (ran.code, ran.out) == (2, "")
    assert deployed.run("agent", "env", "--token-variable", label).code == 2
