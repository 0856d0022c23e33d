"""`flows show`: one request with its answer. Reading a body is itself recorded."""

import asyncio
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import click

from doorward.cli.flows.listing import unknown_request
from doorward.cli.flows.reading import record_reader
from doorward.cli.output import pretty_lines, say, show_facts, show_json, show_table, visible
from doorward.cli.record import open_index
from doorward.core.recorded import RecordedFlow, parse_head, text_of
from doorward.errors import Unavailable
from doorward.ledger.reader import recorded_flow
from doorward.settings import Settings, config_path, load_settings
from doorward.store.index import FlowRow, Index

_NOT_SHOWN = ("bodies", "sizes", "seq", "intent_seq", "outcome_seq", "generation")
_HEADS = ("request_head", "response_head")


@click.command()
@click.argument("request")
@click.option("--bodies", is_flag=True, help="Show bodies too (masked); that you read them is recorded.")
@click.option("--why", default="", help="Why you read the bodies; goes into the record.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def show(config: Path | None, request: str, bodies: bool, why: str, as_json: bool) -> None:
    """Show one request with its answer and its masks; URL and headers while the ledger runs."""
    settings = load_settings(config_path(config)).settings
    with closing(open_index(config)) as index:
        row = index.flow(request)
        if row is None:
            raise unknown_request(request)
        masks = index.masks(request)
        streamed = index.parts(request)
        parts = asyncio.run(_parts(settings, index, row, why.strip() or "flows show", bodies=bodies))
    heads = {name: parts[row.bodies[name]] for name in _HEADS if row.bodies.get(name) in parts}
    texts = {name: parts[digest] for name, digest in row.bodies.items() if name not in _HEADS and digest in parts}
    if row.parts and bodies:
        texts["response_body"] = b"".join(parts.get(each.digest or "", b"") for each in streamed)
    if as_json:
        texts_of_all = {name: body.decode("utf-8", "replace") for name, body in {**heads, **texts}.items()}
        show_json(flow=row, masks=masks, bodies=texts_of_all)
        return
    flow = recorded_flow(row, parts, (), streamed)
    show_facts({name: getattr(row, name) for name in row.__dataclass_fields__ if name not in _NOT_SHOWN})
    if comment := text_of(flow) if bodies else "":
        click.echo(visible(comment))
    show_table(("MASK", "FIELD", "BECAME", "COUNT"), [(m.rule, m.path, m.replacement, m.count) for m in masks])
    _show_messages(flow, heads, texts)


def _show_messages(flow: RecordedFlow, heads: Mapping[str, bytes], texts: Mapping[str, bytes]) -> None:
    for name, title in (("request", f"{flow.method} {flow.url}"), ("response", f"answer {flow.status}")):
        if f"{name}_head" in heads:
            click.echo(f"\n{visible(title)}")
            for header, value in parse_head(heads[f"{name}_head"])[2]:
                click.echo(f"  {visible(header)}: {visible(value)}")
        if f"{name}_body" in texts:
            click.echo(f"\n{name}_body:")
            for line in pretty_lines(texts[f"{name}_body"]):
                click.echo(f"  {line}")


async def _parts(settings: Settings, index: Index, row: FlowRow, why: str, *, bodies: bool) -> dict[str, bytes]:
    try:
        async with record_reader(settings, index, why) as reader:
            heads = await reader.heads([row])
            return {**heads, **(await reader.bodies([row]))} if bodies else heads
    except Unavailable as error:
        if bodies or error.cause != "ledger-away":
            raise
        if row.bodies:
            say("doorward: the ledger does not run: without URL and headers")
        return {}
