"""`principals block`, `unblock` and `list`: the kill switch for one principal, through the running ledger."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import click

from doorward.cli.output import show_json, show_table
from doorward.core.blocks import check_known
from doorward.core.entry import Role
from doorward.core.holds import checked_reason
from doorward.errors import Misconfigured, Refused, Unavailable
from doorward.ledger.channel import socket_path, unix_connect
from doorward.ledger.client import LedgerClient
from doorward.settings import Settings, config_path, load_settings, runtime_folder

_WAIT_S = 2.0


@click.group()
def principals() -> None:
    """Stop a principal at once, or let it go on."""


@principals.command()
@click.argument("principal")
@click.option("--reason", required=True, help="Why; it stands in the record, agents do not see it.")
@click.pass_obj
def block(config: Path | None, principal: str, reason: str) -> None:
    """Stop PRINCIPAL (ISSUER-ALIAS:SUBJECT): nothing more goes out, what is open is cut, its holds are withdrawn."""
    seqs = _set(config, principal, reason, is_block=True)
    holds = {0: "", 1: "; one hold was withdrawn"}.get(len(seqs) - 1, f"; {len(seqs) - 1} holds were withdrawn")
    click.echo(f"{principal} is blocked{holds}")


@principals.command()
@click.argument("principal")
@click.option("--reason", required=True, help="Why; it stands in the record.")
@click.pass_obj
def unblock(config: Path | None, principal: str, reason: str) -> None:
    """End the block of PRINCIPAL; what was withdrawn stays so."""
    _set(config, principal, reason, is_block=False)
    click.echo(f"{principal} is no longer blocked")


@principals.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def list_blocked(config: Path | None, as_json: bool) -> None:
    """List who is blocked, since when, by whom and why."""
    blocks, _ = _ask(load_settings(config_path(config)).settings, lambda client: client.blocks())
    if as_json:
        show_json(blocked=blocks)
        return
    show_table(
        ("PRINCIPAL", "SINCE", "BY", "REASON"),
        [(each.principal, each.at, each.person, each.reason) for each in blocks],
    )


def _set(config: Path | None, principal: str, reason: str, *, is_block: bool) -> tuple[int, ...]:
    settings = load_settings(config_path(config)).settings
    check_known(principal, settings.issuers)
    try:
        reason = checked_reason(reason)
    except Refused as error:
        raise Misconfigured(error.message, hint=error.hint) from None
    return _ask(settings, lambda client: client.set_block(principal, is_block=is_block, reason=reason)).seqs


def _ask[T](settings: Settings, question: Callable[[LedgerClient], Awaitable[T]]) -> T:
    async def ask() -> T:
        client = LedgerClient(unix_connect(socket_path(runtime_folder(settings), Role.COMMAND)), Role.COMMAND)
        await client.start(_WAIT_S)
        try:
            if not client.ready:
                raise Unavailable("the ledger does not answer", cause="ledger-away", hint="start `doorward serve`")
            return await question(client)
        finally:
            await client.close()

    return asyncio.run(ask())
