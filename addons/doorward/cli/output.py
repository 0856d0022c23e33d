"""Standard output for results, standard error for everything else; the one place that knows the forms."""

import contextlib
import dataclasses
import enum
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from doorward.core.characters import is_drawn
from doorward.errors import DoorwardError

SCHEMA = "doorward/1"


def show_json(**facts: object) -> None:
    """One object, with its schema."""
    click.echo(json.dumps({"schema": SCHEMA, **{name: plain(value) for name, value in facts.items()}}, indent=2))


def show_table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Aligned columns on a terminal; tab-separated lines in a pipe."""
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(visible(each) for each in row))
        return
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(visible(each)) for each in row))  # a str would be read for markup
    Console().print(table)


def show_facts(facts: Mapping[str, object]) -> None:
    """Name and value, a line each."""
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        click.echo(f"{name:<{width}}  {visible(value)}")


def say(text: str) -> None:
    """Progress, on standard error."""
    click.echo(text, err=True)


def progress_console() -> Console:
    """Where progress is drawn: standard error, and only if that is a terminal."""
    return Console(stderr=True, quiet=not sys.stderr.isatty())


def complain(error: DoorwardError) -> None:
    """An error in its two lines: what, and what next."""
    click.echo(f"doorward: error: {visible(error.message)}", err=True)
    if error.hint:
        click.echo(f"doorward: hint: {visible(error.hint)}", err=True)


def visible(value: object) -> str:
    """Text for a terminal: characters that could repaint it, or draw nothing, as escapes."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, tuple | list):
        return ", ".join(visible(each) for each in value)
    return "".join(each if is_drawn(each) else each.encode("unicode_escape").decode() for each in str(value))


class LogLines(logging.Formatter):
    """Lines of a log, with what could repaint a terminal as escapes: a traceback may quote anybody."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's lines."""
        return "\n".join(visible(line) for line in super().format(record).split("\n"))


def pretty_lines(body: bytes) -> list[str]:
    """Lines of a body for a terminal: JSON indented, each number with all its digits; all else as it is."""
    if body.lstrip()[:1] in (b"{", b"["):
        with contextlib.suppress(msgspec.DecodeError, RecursionError):
            body = msgspec.json.format(body, indent=2)
    return [visible(line) for line in body.decode("utf-8", "replace").splitlines()]


def plain(value: Any) -> Any:
    """Values of the model as JSON knows them."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    match value:
        case enum.IntEnum():
            return value.name.lower()
        case datetime():
            return value.isoformat()
        case Path():
            return str(value)
        case Mapping():
            return {str(key): plain(each) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(each) for each in value]
        case _:
            return value
