"""`flows list`: requests, newest first, by whatever one remembers of them."""

import asyncio
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import click
from rich.progress import Progress

from doorward.cli.flows.filters import Chosen, checked_why, filtered
from doorward.cli.flows.reading import record_reader
from doorward.cli.output import plain, progress_console, show_json, show_table
from doorward.cli.record import open_index
from doorward.core.recorded import parse_head
from doorward.errors import Refused
from doorward.settings import Settings, config_path, load_settings
from doorward.store.index import FlowRow, Index


@click.command("list")
@filtered
@click.option("--why", default="", help="Why you look into bodies; goes into the record.")
@click.option("--before", metavar="REQUEST", help="Only what is older than this request: the next page.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--urls", is_flag=True, help="Show URLs too, masked; the ledger must run.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def list_flows(
    config: Path | None, chosen: Chosen, why: str, before: str | None, limit: int, urls: bool, as_json: bool
) -> None:
    """List requests, newest first."""
    if chosen.in_bodies:
        checked_why(why)
    settings = load_settings(config_path(config)).settings
    with closing(open_index(config)) as index:
        before_seq = _seq(index, before)
        if urls or chosen.text is not None:
            rows, heads = asyncio.run(_search(settings, index, chosen, why, before_seq, limit, urls=urls))
        else:
            rows, heads = index.flows(limit, chosen.filter, before_seq=before_seq), {}
    shown = {row.request: _url(row, heads) for row in rows} if urls else {}
    if as_json:
        listed = [plain(row) | ({"url": shown[row.request]} if urls else {}) for row in rows]
        show_json(flows=listed, next=rows[-1].request if len(rows) == limit else None)
        return
    titles = ("TIME", "REQUEST", "PRINCIPAL", "TARGET", "VERB", "DECISION", "STATUS", "EXECUTED", "RULES")
    show_table(
        (*titles, "URL") if urls else titles,
        [(*_cells(row), shown[row.request]) if urls else _cells(row) for row in rows],
    )


def _cells(row: FlowRow) -> tuple[object, ...]:
    return (
        row.time,
        row.request if row.count == 1 else f"{row.count} more",
        row.principal,
        row.target,
        row.verb,
        row.decision if row.cause is None else f"{row.decision} ({row.cause})",
        row.status,
        row.executed,
        row.rules,
    )


def _seq(index: Index, before: str | None) -> int | None:
    if before is None:
        return None
    row = index.flow(before)
    if row is None:
        raise unknown_request(before)
    return row.seq


def unknown_request(request: str) -> Refused:
    """Return the error for a request that is not in the record."""
    return Refused(f"there is no request {request}", cause="request-unknown", hint="see `doorward flows list`")


def _url(row: FlowRow, heads: dict[str, bytes]) -> str | None:
    return parse_head(heads.get(row.bodies.get("request_head", "")))[1] or None


async def _search(
    settings: Settings, index: Index, chosen: Chosen, why: str, before_seq: int | None, limit: int, *, urls: bool
) -> tuple[Sequence[FlowRow], dict[str, bytes]]:
    async with record_reader(settings, index, why.strip() or "flows list") as reader:
        with Progress(transient=True, console=progress_console()) as progress:
            task = progress.add_task("looked at", total=None)
            wanted = chosen.wanted(before_seq=before_seq, limit=limit)
            found = reader.rows(wanted, lambda count: progress.update(task, completed=count))
            rows = [row async for row in found]
        return rows, await reader.heads(rows) if urls else {}
