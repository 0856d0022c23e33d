"""`scripts/clients`: runs the clients through the gateway, and writes the tables of docs/clients.md from that run."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from tests.parts.clients.rows import CLIENTS
from tests.parts.clients.table import PAGE, tables, with_tables

_TESTS = "tests/end_to_end/test_clients.py"


def versions_in(report: Path) -> tuple[dict[str, str], list[str]]:
    """Versions of the clients by key, and the tests that did not pass."""
    versions, bad = {}, []
    for case in ElementTree.parse(report).iter("testcase"):
        name = case.get("name", "")
        bad += [name] * any(case.find(kind) is not None for kind in ("failure", "error", "skipped"))
        if key := re.search(r"\[([\w-]+)\]$", name):
            for told in case.iter("property"):
                if told.get("name") == "version":
                    versions[key.group(1)] = told.get("value", "")
    return versions, bad


def main() -> int:
    """Write the tables if each client did all that its row says."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        line = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", f"--junitxml={report}", _TESTS]
        subprocess.run([*line, *sys.argv[1:]], check=False)
        versions, bad = versions_in(report)
    missing = [client.key for client in CLIENTS if client.key not in versions]
    if bad or missing:
        sys.stderr.write(f"scripts/clients: {PAGE.name} stays as it was: not passed {bad}, not run {missing}\n")
        return 1
    PAGE.write_text(with_tables(PAGE.read_text(), tables(CLIENTS, versions)))
    sys.stderr.write(f"scripts/clients: {PAGE.name} is written\n")
    return 0


sys.exit(main())
