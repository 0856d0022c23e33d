"""The shape of the tree: a test file for each module, modules that can be read, nothing of one machine in it."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "addons" / "doorward"
MOST_LINES = 500

# Modules without a test file of their own, and what tests them instead. This list may only shrink.
TESTED_ELSEWHERE = {
    # The commands run as processes, as a person would run them.
    "__main__.py": "tests/end_to_end: every process starts by it",
    "cli/record.py": "tests/end_to_end, tests/parts/deployment.py",
    "cli/serve.py": "tests/end_to_end, tests/parts/deployment.py",
    "cli/demo/agent.py": "tests/end_to_end/test_demo.py",
    "cli/demo/command.py": "tests/end_to_end/test_demo.py",
    "cli/demo/identity.py": "tests/end_to_end/test_demo.py",
    "cli/demo/reviewer.py": "tests/end_to_end/test_demo.py",
    "cli/demo/story.py": "tests/end_to_end/test_demo.py",
    "cli/demo/target.py": "tests/end_to_end/test_demo.py",
    "cli/demo/world.py": "tests/end_to_end/test_demo.py",
    # The data plane is tested as a whole, with real sockets.
    # The ledger is tested as a whole, with real channels.
    "ledger/draft.py": "tests/ledger/test_server.py, tests/ledger/test_client.py",
    "ledger/frames.py": "tests/ledger/test_server.py, tests/ledger/test_client.py",
    "ledger/framing.py": "tests/ledger/test_server.py, tests/ledger/test_client.py",
    "ledger/peer.py": "tests/ledger/test_server.py, tests/ledger/test_client.py",
    "ledger/sequencer.py": "tests/ledger/test_server.py, tests/ledger/test_client.py",
    "ledger/waiters.py": "tests/ledger/test_server.py, tests/ledger/test_client.py",
    "store/migrations/index.py": "tests/store/test_migrate.py",
    "store/migrations/segment.py": "tests/store/test_migrate.py",
    # Tables and types.
    "errors.py": "tests/test_docs.py",
    "model.py": "tests/core: every test of a decision",
}

# Test files that are about more than one module.
ACROSS_MODULES = {
    "core/redaction/test_three_ways.py": "one engine for whole bodies, large ones and streams",
    "core/redaction/test_compliance.py": "the compliance test suite of JSONPath",
    "gateway/test_fail_closed.py": "what every step does when something below it fails",
    "ledger/test_disk.py": "a full disk",
    "ledger/test_docs.py": "docs/ledger.md",
    "ledger/test_kill.py": "kill -9 at any moment",
}

# In two pieces, so that this file does not hold what it looks for.
OF_A_MACHINE = re.compile(
    "|".join((
        r"(?<![\w.{}$])/(?:root|work)" + "/",
        r"(?<![\w.{}$])/home/" + r"\w",
        "py" + r"pi\.org", "python" + r"hosted\.org", "npm" + r"js\.(?:org|com)", "proxy" + r"\.golang\.org",
        "crates" + r"\.io", "deb" + r"\.debian\.org", "maven" + r"\.org",
    ))
)  # fmt: skip


def modules() -> list[str]:
    return sorted(str(file.relative_to(SOURCE)) for file in SOURCE.rglob("*.py") if file.name != "__init__.py")


def mirror_of(module: str) -> Path:
    path = Path(module)
    return ROOT / "tests" / path.parent / f"test_{path.stem.strip('_')}.py"


@pytest.mark.parametrize("module", modules())
def test_a_module_has_a_test_file(module: str) -> None:
    there = mirror_of(module).exists()
    if module in TESTED_ELSEWHERE:
        assert not there, f"{module} has tests of its own by now: take it off the list"
    else:
        assert there, f"{module} has no {mirror_of(module).relative_to(ROOT)}"


def test_the_lists_name_what_is_there() -> None:
    assert set(TESTED_ELSEWHERE) <= set(modules())
    assert [name for name in ACROSS_MODULES if not (ROOT / "tests" / name).exists()] == []


def test_a_test_file_has_a_module() -> None:
    of_modules = {mirror_of(module) for module in modules()}
    apart = {ROOT / "tests" / name for name in ACROSS_MODULES}
    rooms = [each.name for each in SOURCE.iterdir() if each.is_dir()]
    lost = [
        str(file.relative_to(ROOT))
        for room in rooms
        for file in (ROOT / "tests" / room).rglob("test_*.py")
        if file not in of_modules | apart
    ]
    assert lost == []


@pytest.mark.parametrize("folder", ["addons", "tests"])
def test_modules_can_be_read_in_one_go(folder: str) -> None:
    lines = {file: len(file.read_text().splitlines()) for file in (ROOT / folder).rglob("*.py")}
    assert {str(file): count for file, count in lines.items() if count > MOST_LINES} == {}


def tracked_files() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode != 0:
        pytest.skip("not a checkout of git")
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_nothing_names_a_machine_or_a_registry() -> None:
    found = []
    for file in tracked_files():
        text = file.read_bytes().decode("utf-8", "replace")
        found += [f"{file.relative_to(ROOT)}: {hit.group()}" for hit in OF_A_MACHINE.finditer(text)]
    assert found == []


def test_no_private_key_is_tracked() -> None:
    key = re.compile(rb"-----BEGIN [A-Z ]*" + b"PRIVATE" + rb" KEY-----\s+[A-Za-z0-9+/]{16}")
    assert [str(file.relative_to(ROOT)) for file in tracked_files() if key.search(file.read_bytes())] == []


def test_locks_hold_hashes_and_nothing_else() -> None:
    for lock in sorted((ROOT / "requirements").glob("*.txt")):
        for line in lock.read_text().splitlines():
            assert re.fullmatch(r"[A-Za-z0-9._\[\],-]+==\S+( ; .+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?", line), (
                line
            )
