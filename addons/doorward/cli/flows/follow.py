"""`flows follow`: an answer that streamed, or still does, with the times at which its pieces came."""

import asyncio
import sys
import time
from contextlib import closing
from pathlib import Path

import click

from doorward.cli.flows.listing import unknown_request
from doorward.cli.flows.reading import record_reader
from doorward.cli.output import visible
from doorward.cli.record import open_index
from doorward.errors import Refused
from doorward.ledger.reader import RecordReader
from doorward.settings import Settings, config_path, load_settings
from doorward.store.index import Index, PartRow

_LOOK_EVERY_S = 0.2


@click.command()
@click.argument("request")
@click.option("--speed", default=1.0, show_default=True, type=click.FloatRange(min=0.01), help="1 is as it was.")
@click.option("--at-once", is_flag=True, help="Without waiting between pieces.")
@click.option("--why", default="", help="Why you read the body; goes into the record.")
@click.pass_obj
def follow(config: Path | None, request: str, speed: float, at_once: bool, why: str) -> None:
    """Print a streamed answer as it came, piece by piece, also while it still streams."""
    settings = load_settings(config_path(config)).settings
    with closing(open_index(config)) as index:
        if index.flow(request) is None:
            raise unknown_request(request)
        asyncio.run(_follow(settings, index, request, why.strip() or "flows follow", 0.0 if at_once else 1 / speed))


async def _follow(settings: Settings, index: Index, request: str, why: str, pace: float) -> None:
    begun_s: float | None = None
    printed = 0
    async with record_reader(settings, index, why) as reader:
        while True:
            row = index.flow(request)
            assert row is not None
            is_over = row.outcome_seq is not None or row.decision != "intent"
            if is_over and not row.parts:
                found = await reader.bodies([row])
                _print(found.get(row.bodies.get("response_body", ""), b""))
                return
            for part in index.parts(request, after=printed):
                if begun_s is None:  # the first piece comes at once
                    begun_s = time.monotonic() - (part.pieces[0][0] / 1000 * pace if part.pieces else 0)
                await _print_part(reader, part, begun_s, pace)
                printed = part.part
            if is_over and printed >= row.parts:
                return
            await asyncio.sleep(_LOOK_EVERY_S)


async def _print_part(reader: RecordReader, part: PartRow, begun_s: float, pace: float) -> None:
    body = await reader.part(part)
    if body is None:
        raise Refused(f"part {part.part} was deleted", cause="body-unknown", hint="the record keeps its digest alone")
    at = 0
    for at_ms, size in part.pieces:
        wait_s = begun_s + at_ms / 1000 * pace - time.monotonic()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        _print(body[at : at + size])
        at += size


def _print(piece: bytes) -> None:
    """As it is into a pipe; on a terminal without what could repaint it."""
    if sys.stdout.isatty():
        lines = piece.decode("utf-8", "replace").split("\n")
        click.echo("\n".join(visible(line) for line in lines), nl=False)
    else:
        click.echo(piece, nl=False)
