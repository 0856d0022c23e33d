import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mitmproxy.io import FlowReader

from doorward.core.entry import Role
from tests.cli.flows.conftest import head
from tests.ledger.conftest import RunningLedger
from tests.parts.entries import intent, outcome
from tests.parts.recorded import Recorded


def folder_of(recorded: Recorded) -> set[str]:
    return {file.name for file in recorded.terminal.folder.iterdir()}


def test_each_format_oldest_first(recorded: Recorded) -> None:
    folder = recorded.terminal.folder
    for form in ("har", "mitmproxy", "jsonl"):
        ran = recorded.ask("flows", "export", "--format", form, "--output", form, "--why", "ticket 7")
        assert (ran.code, ran.err) == (0, "")
        assert ran.out.splitlines()[1] == "flows   3"
    har = json.loads((folder / "har").read_text())
    assert [each["_doorward"]["request"] for each in har["log"]["entries"]] == ["r1", "r2", "r3"]
    lines = [json.loads(line) for line in (folder / "jsonl").read_text().splitlines()]
    assert [each["request"] for each in lines] == ["r1", "r2", "r3"]
    assert lines[0]["answered"]["text"] == '{"a": 1.10, "name": "K\\u00f6ln"}'
    with (folder / "mitmproxy").open("rb") as file:
        assert [each.metadata["doorward"]["request"] for each in FlowReader(file).stream()] == ["r1", "r2", "r3"]
    assert {(folder / form).stat().st_mode & 0o777 for form in ("har", "mitmproxy", "jsonl")} == {0o600}


def test_who_read_what_and_what_came_of_it_is_recorded(recorded: Recorded) -> None:
    ran = recorded.ask(
        "flows", "export", "--format", "jsonl", "--output", "out", "--why", "ticket 7", "--target", "billing", "--json"
    )  # fmt: skip
    told = json.loads(ran.out)
    content = (recorded.terminal.folder / "out").read_bytes()
    assert (told["flows"], told["bytes"], told["sha256"]) == (2, len(content), hashlib.sha256(content).hexdigest())
    (read,) = recorded.entries("bodies.read")
    (made,) = recorded.entries("export.made")
    assert read.seq < made.seq
    assert len(read.fields["digests"]) == 2  # type: ignore[arg-type]  # a list
    assert {read.fields["why"], made.fields["why"]} == {"ticket 7"}
    assert {name: made.fields[name] for name in ("format", "flows", "bytes", "sha256")} == {
        "format": "jsonl",
        "flows": 2,
        "bytes": told["bytes"],
        "sha256": told["sha256"],
    }
    assert made.fields["bodies"]["filter"]["bytes"] == len('{"target":"billing"}')  # type: ignore[index,call-overload]


def test_filters_and_limits(recorded: Recorded) -> None:
    for options, found in (
        (("--limit", "1"), ["r1"]),
        (("--text", "x y"), ["r3"]),
        (("--decision", "refused"), ["r2"]),
        (("--principal", "corp:nobody"), []),
    ):
        name = f"out-{options[1]}".replace(":", "").replace(" ", "")
        ran = recorded.ask("flows", "export", "--format", "jsonl", "--output", name, "--why", "x", *options)
        assert ran.code == 0, ran.err
        lines = (recorded.terminal.folder / name).read_text().splitlines()
        assert [json.loads(line)["request"] for line in lines] == found


def test_no_reason_no_contents(recorded: Recorded) -> None:
    before = folder_of(recorded)
    for why in ((), ("--why", " ")):
        assert recorded.ask("flows", "export", "--format", "har", "--output", "out", *why).code == 2
    assert recorded.entries("bodies.read") == []
    assert folder_of(recorded) == before


def test_nothing_that_stands_there_is_replaced(recorded: Recorded) -> None:
    (recorded.terminal.folder / "out").write_text("precious")
    (recorded.terminal.folder / "link").symlink_to("elsewhere")
    before = folder_of(recorded)
    for name in ("out", "link", "no/such/folder"):
        ran = recorded.ask("flows", "export", "--format", "har", "--output", name, "--why", "x")
        assert ran.code == 2
        assert "cannot write a new file" in ran.err
    assert (recorded.terminal.folder / "out").read_text() == "precious"
    assert folder_of(recorded) == before
    assert recorded.entries("bodies.read") == []


def test_without_a_ledger_there_is_no_file(recorded: Recorded) -> None:
    before = folder_of(recorded)
    ran = recorded.terminal.run("flows", "export", "--format", "har", "--output", "out", "--why", "x")
    assert (ran.code, ran.out) == (3, "")
    assert folder_of(recorded) == before


def test_what_an_agent_names_steers_no_path(recorded: Recorded) -> None:
    evil = head("/../../../tmp/owned\\u0000", "GET", ("content-disposition", "attachment; filename=../../owned"))
    recorded.during(lambda worker: worker.append(intent("../../owned", {"request_head": evil})))
    before = folder_of(recorded)
    for form in ("har", "mitmproxy", "jsonl"):
        assert recorded.ask("flows", "export", "--format", form, "--output", form, "--why", "x").code == 0
    assert folder_of(recorded) - before == {"har", "mitmproxy", "jsonl"}
    assert not (recorded.terminal.folder.parent / "owned").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
async def test_an_interrupted_export_leaves_its_reads_and_no_file(recorded: Recorded, number: int) -> None:
    """The ledger runs in this loop: once the loop stands still, the command is in the middle for certain."""
    before = folder_of(recorded)
    ledger = RunningLedger(recorded.path, recorded.path / "run")
    await ledger.start()
    try:
        worker = await ledger.client(Role.WORKER)
        for at in range(40):
            await worker.append(intent(f"m{at}", {"request_body": os.urandom(1 << 20)}), outcome(f"m{at}"))
        line = [
            sys.executable,
            "-m",
            "doorward",
            "flows",
            "export",
            "--format",
            "jsonl",
            "--why",
            "x",
            "--output",
            "out",
        ]
        with subprocess.Popen(line, cwd=recorded.terminal.folder, stdout=-1, stderr=-1) as process:
            async with asyncio.timeout(60):
                while not [each for each in ledger.entries() if each.kind == "bodies.read"]:
                    await asyncio.sleep(0.001)
            assert len(folder_of(recorded) - before) == 1, "a draft under another name"
            process.send_signal(number)
            assert process.wait(30) == 130
    finally:
        await ledger.close()
    assert folder_of(recorded) == before
    assert recorded.entries("bodies.read")
    assert recorded.entries("export.made") == []


def test_the_index_holds_no_contents(recorded: Recorded) -> None:
    raw = b"".join(file.read_bytes() for file in Path(recorded.path).glob("index.db*"))
    for text in (b"K\\u00f6ln", b"customers/1", b"x-note", b"1.10", b"\x1b[2J"):
        assert text not in raw
