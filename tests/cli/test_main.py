import subprocess
import sys

import pytest

import doorward
from tests.parts.command import Terminal

COMMANDS = [
    "agent",
    "check",
    "console",
    "demo",
    "flows",
    "gateway",
    "holds",
    "init",
    "ledger",
    "policy",
    "principals",
    "serve",
    "status",
]


def test_version(terminal: Terminal) -> None:
    ran = terminal.run("--version")
    assert (ran.code, ran.out, ran.err) == (0, f"doorward, version {doorward.__version__}\n", "")


def test_help_names_each_command(terminal: Terminal) -> None:
    ran = terminal.run("-h")
    assert ran.code == 0
    assert [line.split()[0] for line in ran.out.partition("Commands:\n")[2].splitlines()] == COMMANDS


@pytest.mark.parametrize("command", [[each] for each in COMMANDS] + [["flows", "list"], ["policy", "explain"]])
def test_each_command_has_a_help_of_its_own(terminal: Terminal, command: list[str]) -> None:
    ran = terminal.run(*command, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"Usage: doorward {' '.join(command)}")


@pytest.mark.parametrize(
    "arguments",
    [["unknown"], ["--unknown"], ["flows", "list", "--limit", "0"], ["policy", "explain"], ["flows", "show"]],
)
def test_wrong_usage_is_2(terminal: Terminal, arguments: list[str]) -> None:
    ran = terminal.run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "Error" in ran.err


def test_no_settings_are_2_in_two_lines(terminal: Terminal) -> None:
    ran = terminal.run("check")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "doorward: error: no settings file at ~/doorward.yaml\n"
        "doorward: hint: make one with `doorward init`, or name it with --config\n"
    )


def test_wrong_settings_name_file_and_line(deployed: Terminal) -> None:
    file = deployed.folder / "doorward.yaml"
    file.write_text(file.read_text() + "workerz: 2\n")
    line = len(file.read_text().splitlines())
    ran = deployed.run("status")
    assert ran.code == 2
    assert ran.err.startswith(f"doorward: error: ~/doorward.yaml:{line}: unknown key 'workerz'\n")


def test_the_settings_may_be_named(deployed: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    (deployed.folder / "elsewhere").mkdir()
    monkeypatch.chdir(deployed.folder / "elsewhere")
    assert deployed.run("policy", "test").code == 2
    assert deployed.run("--config", "../doorward.yaml", "policy", "test").code == 0
    monkeypatch.setenv("DOORWARD_CONFIG", "../doorward.yaml")
    assert deployed.run("policy", "test").code == 0


def test_the_program_itself(deployed: Terminal) -> None:
    line = [sys.executable, "-m", "doorward", "policy", "test"]
    ran = subprocess.run(line, cwd=deployed.folder, capture_output=True, text=True, timeout=30, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "3 passed, 0 failed\n", "")


def test_commands_that_ask_the_policy_load_no_proxy(deployed: Terminal) -> None:
    code = (
        "import sys\nsys.argv[1:] = ['policy', 'test']\nfrom doorward.cli.main import main\n"
        "try:\n    main()\nfinally:\n    print('mitmproxy' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=deployed.folder, capture_output=True, text=True, timeout=30, check=False
    )
    assert ran.stdout.splitlines()[-1] == "False"


def test_what_nobody_thought_of_is_3_and_one_sentence(deployed: Terminal) -> None:
    (deployed.folder / "var/index.db").write_bytes(b"no database, but s3cr3t" * 99)
    ran = deployed.run("flows", "list")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("doorward: error: ")
    assert ran.err.count("\n") == 2
    assert "s3cr3t" not in ran.err
