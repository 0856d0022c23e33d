"""`flows list` and `flows show`: what agents asked for, and what they got. Reading a body is itself recorded."""

import asyncio
import getpass
import json
from contextlib import closing
from pathlib import Path

import click

from doorward.cli.output import show_facts, show_json, show_table, visible
from doorward.cli.record import open_index
from doorward.core.entry import Role
from doorward.errors import Refused, Unavailable
from doorward.ledger.channel import socket_path, unix_connect
from doorward.ledger.client import LedgerClient
from doorward.settings import Settings, config_path, load_settings, runtime_folder
from doorward.store.index import FlowRow


@click.group()
def flows() -> None:
    """See the recorded requests and answers."""


@flows.command("list")
@click.option("--principal", help="Only of this principal, ISSUER:SUBJECT.")
@click.option("--target", help="Only of this target.")
@click.option("--decision", type=click.Choice(["intent", "refused", "held"]), help="Only with this decision.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def list_flows(
    config: Path | None, principal: str | None, target: str | None, decision: str | None, limit: int, as_json: bool
) -> None:
    """List requests, newest first."""
    with closing(open_index(config)) as index:
        rows = index.flows(limit, principal=principal, target=target, decision=decision)
    if as_json:
        show_json(flows=rows)
        return
    show_table(
        ("TIME", "REQUEST", "PRINCIPAL", "TARGET", "VERB", "DECISION", "STATUS", "EXECUTED", "RULES"),
        [
            (
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
            for row in rows
        ],
    )


@flows.command()
@click.argument("request")
@click.option("--bodies", is_flag=True, help="Show heads and bodies too (masked); that you read them is recorded.")
@click.option("--why", default="", help="Why you read the bodies; goes into the record.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def show(config: Path | None, request: str, bodies: bool, why: str, as_json: bool) -> None:
    """Show one request with its answer and its masks."""
    settings = load_settings(config_path(config)).settings
    with closing(open_index(config)) as index:
        row, masks = index.flow(request), index.masks(request)
    if row is None:
        raise Refused(f"there is no request {request}", cause="request-unknown", hint="see `doorward flows list`")
    texts = asyncio.run(_read(settings, row, why or "flows show")) if bodies else {}
    if as_json:
        show_json(flow=row, masks=masks, bodies={name: body.decode("utf-8", "replace") for name, body in texts.items()})
        return
    show_facts({name: getattr(row, name) for name in row.__dataclass_fields__ if name not in ("bodies", "sizes")})
    show_table(("MASK", "FIELD", "BECAME", "COUNT"), [(m.rule, m.path, m.replacement, m.count) for m in masks])
    for name, body in texts.items():
        click.echo(f"\n{name}:")
        for line in _pretty(body).splitlines():
            click.echo(f"  {visible(line)}")


async def _read(settings: Settings, row: FlowRow, why: str) -> dict[str, bytes]:
    client = LedgerClient(unix_connect(socket_path(runtime_folder(settings), Role.COMMAND)), Role.COMMAND)
    await client.start(2)
    try:
        if not client.ready:
            raise Unavailable(
                "the ledger does not run, and bodies are read through it",
                cause="ledger-away",
                hint="start `doorward serve`",
            )
        reader = f"local:{getpass.getuser()}"
        return {
            name: await client.read_body(digest, reader=reader, why=why, request=row.request)
            for name, digest in row.bodies.items()
        }
    finally:
        await client.close()


def _pretty(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body.decode("utf-8", "replace")
