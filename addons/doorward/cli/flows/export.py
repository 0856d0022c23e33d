"""`flows export`: recorded flows as a file for other tools. What is read for it is recorded, then the file itself."""

import asyncio
import hashlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import click
from rich.progress import Progress

import doorward
from doorward.cli.flows.filters import Chosen, checked_why, filtered
from doorward.cli.flows.reading import record_reader
from doorward.cli.output import progress_console, say, show_facts, show_json
from doorward.cli.record import open_index
from doorward.core.har import har_begin, har_end, har_entry
from doorward.core.json_lines import json_line
from doorward.core.recorded import RecordedFlow
from doorward.private_files import new_file
from doorward.settings import Settings, config_path, load_settings
from doorward.store.index import Index

FORMATS = ("har", "mitmproxy", "jsonl")


@dataclass(frozen=True, slots=True)
class _Form:
    """How flows become a file."""

    encode: Callable[[RecordedFlow], bytes]
    begin: bytes = b""
    between: bytes = b""
    end: bytes = b""


class _Hashed:
    """A file that knows what was written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        """Write all of it."""
        self._file.write(data)
        self._digest.update(data)
        self.size += len(data)

    @property
    def sha256(self) -> str:
        """Of what was written so far, in hex."""
        return self._digest.hexdigest()


@click.command()
@filtered
@click.option("--format", "form", type=click.Choice(FORMATS), required=True, help="What the file is.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="A new file; else standard output.")
@click.option("--why", required=True, help="Why you take the contents; goes into the record.")
@click.option("--limit", type=click.IntRange(1), help="So many at most, the oldest first.")
@click.option("--json", "as_json", is_flag=True, help="With --output: what was written, as one JSON object.")
@click.pass_obj
def export(
    config: Path | None,
    chosen: Chosen,
    form: str,
    output: Path | None,
    why: str,
    limit: int | None,
    as_json: bool,
) -> None:
    """Export recorded flows, oldest first, in their masked form."""
    reason = checked_why(why)
    if output is None and sys.stdout.isatty():
        raise click.UsageError("an export on a terminal is of no use: name a file with --output")
    if output is None and as_json:
        raise click.UsageError("--json tells of a file: name it with --output")
    settings = load_settings(config_path(config)).settings
    with closing(open_index(config)) as index:
        try:
            facts = asyncio.run(_run(settings, index, chosen, form, output, reason, limit))
        except asyncio.CancelledError:
            raise click.Abort from None
    if output is None:
        say(f"doorward: {facts['flows']} flows, {facts['bytes']} bytes, SHA-256 {facts['sha256']}")
    elif as_json:
        show_json(file=output, **facts)
    else:
        show_facts({"file": output, **facts})


async def _run(
    settings: Settings, index: Index, chosen: Chosen, form: str, output: Path | None, why: str, limit: int | None
) -> dict[str, object]:
    """Write, and record: the entry comes before the file is there, so that no file is without one."""
    _end_tidily()
    async with record_reader(settings, index, why) as reader:
        with _opened(output) as file, Progress(transient=True, console=progress_console()) as progress:
            total = None if chosen.text is not None else min(index.count_flows(chosen.filter), limit or sys.maxsize)
            task = progress.add_task("flows", total=total)
            wanted = chosen.wanted(oldest_first=True, limit=limit)
            shape, written, count = _form(form), _Hashed(file), 0
            written.write(shape.begin)
            async for flow in reader.flows(reader.rows(wanted)):
                if count:
                    written.write(shape.between)
                written.write(shape.encode(flow))
                count += 1
                progress.update(task, completed=count)
            written.write(shape.end)
            file.flush()
            asked = chosen.as_json() | ({"limit": limit} if limit else {})
            await reader.note_export(form, asked, flows=count, size=written.size, sha256=written.sha256)
    return {"flows": count, "bytes": written.size, "sha256": written.sha256}


def _form(name: str) -> _Form:
    if name == "har":
        return _Form(har_entry, har_begin(doorward.__version__), b",\n", har_end)
    if name == "jsonl":
        return _Form(json_line)
    from doorward.playback.flows import mitmproxy_bytes

    return _Form(mitmproxy_bytes)


@contextmanager
def _opened(output: Path | None) -> Iterator[BinaryIO]:
    if output is None:
        yield sys.stdout.buffer
    else:
        with new_file(output) as file:
            yield file


def _end_tidily() -> None:
    """Let a SIGTERM end the export as Ctrl-C does: with its draft taken away."""
    task = asyncio.current_task()
    if task is not None and threading.current_thread() is threading.main_thread():  # signals belong to that one
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
