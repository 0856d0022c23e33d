import json
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from doorward.cli.output import LogLines, complain, plain, show_facts, show_json, show_table, visible
from doorward.errors import Misconfigured, Refused
from doorward.model import Approvers, Ask, Risk, Verdict

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("Ärger 😀", "Ärger 😀"),
        ("a\u3164b\ufe0f\u2800", "a\\u3164b\\ufe0f\\u2800"),
        ("\x9b2J\ud800", "\\x9b2J\\ud800"),
        (("a", None, 1), "a, -, 1"),
        (AT, "2026-11-23T12:00:00+00:00"),
    ],
)
def test_nothing_repaints_the_terminal(value: object, shown: str) -> None:
    assert visible(value) == shown


def test_values_as_json_knows_them() -> None:
    ask = Ask("r", Approvers(("corp:a",)), 1, 900)
    assert plain({1: [ask], "risk": Risk.LOW, "verdict": Verdict.HOLD, "at": AT, "path": Path("/a"), "s": {"x"}}) == {
        "1": [{"rule": "r", "approvers": {"groups": ["corp:a"], "subjects": []}, "count": 1, "expires_s": 900}],
        "risk": "low",
        "verdict": "hold",
        "at": AT.isoformat(),
        "path": "/a",
        "s": ["x"],
    }


def test_tables_in_a_pipe_are_lines_of_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("A", "B"), [("x\ty", None), (1, ("a", "b"))])
    assert capsys.readouterr() == ("x\\ty\t-\n1\ta, b\n", "")


def test_tables_on_a_terminal_are_aligned(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    show_table(("NAME", "B"), [("[bold]x", "1"), ("y", "2")])
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == ["NAME", "B"]
    assert "[bold]x" in out


@pytest.mark.parametrize(
    "text", ["[bold]x", "\\\\[link=http://x]y[/link]", "\\\\[/]", "[/]", "\\\\\\\\[red]", ":warning:"]
)
def test_text_in_a_table_is_no_markup(
    text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    show_table(("NAME",), [(text,)])
    assert capsys.readouterr().out.splitlines()[1].strip() == text


def test_lines_of_a_log_keep_what_they_quote_from_the_terminal() -> None:
    try:
        raise ValueError("a\x1b[2J\u202eb\nc")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "failed: %s", ("\x9b\r",), sys.exc_info())
    lines = LogLines("%(name)s: %(message)s").format(record).split("\n")
    assert lines[0] == "x: failed: \\x9b\\r"
    assert lines[-2:] == ["ValueError: a\\x1b[2J\\u202eb", "c"]


def test_facts_objects_and_errors(capsys: pytest.CaptureFixture[str]) -> None:
    show_facts({"a": 1, "longer": None})
    show_json(found=(1, 2))
    complain(Misconfigured("it is\x1bwrong", where="a.yaml:3", hint="mend it"))
    complain(Refused("no", cause="x"))
    out, err = capsys.readouterr()
    assert out.startswith("a       1\nlonger  -\n")
    assert json.loads(out.partition("\n{")[1] + out.partition("\n{")[2]) == {"schema": "doorward/1", "found": [1, 2]}
    assert err == ("doorward: error: a.yaml:3: it is\\x1bwrong\ndoorward: hint: mend it\ndoorward: error: no\n")
