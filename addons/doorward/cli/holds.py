"""`holds list` and `holds show`: what waits for a person, and what became of it."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import click

from doorward.cli.output import show_facts, show_json, show_table, visible
from doorward.cli.record import open_index
from doorward.errors import Refused
from doorward.model import HoldState


@click.group()
def holds() -> None:
    """See what waits for approval."""


@holds.command("list")
@click.option("--state", type=click.Choice([each.value for each in HoldState]), help="Only holds in this state.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def list_holds(config: Path | None, state: str | None, limit: int, as_json: bool) -> None:
    """List holds, newest first."""
    with closing(open_index(config)) as index:
        rows = index.holds(limit, state=state)
    if as_json:
        show_json(holds=rows)
        return
    show_table(
        ("HOLD", "STATE", "PRINCIPAL", "TARGET", "RULES", "EXPIRES"),
        [
            (
                row.hold,
                _state(row.state, row.expires_at),
                row.principal,
                row.target,
                [ask.rule for ask in row.asks],
                row.expires_at,
            )
            for row in rows
        ],
    )


@holds.command()
@click.argument("hold_id")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def show(config: Path | None, hold_id: str, as_json: bool) -> None:
    """Show one hold with its approvals."""
    with closing(open_index(config)) as index:
        rows = index.holds(10_000)
    row = next((each for each in rows if each.hold == hold_id), None)
    if row is None:
        raise Refused(f"there is no hold {hold_id}", cause="hold-unknown", hint="see `doorward holds list`")
    if as_json:
        show_json(hold=row)
        return
    show_facts(
        {
            "hold": row.hold,
            "state": _state(row.state, row.expires_at),
            "principal": row.principal,
            "owner": row.owner,
            "target": row.target,
            "request": row.request,
            "digest": row.digest,
            "opened": row.opened_at,
            "expires": row.expires_at,
            "used by": row.used_by,
        }
    )
    for ask in row.asks:
        whom = ", ".join((*ask.approvers.groups, *ask.approvers.subjects))
        click.echo(visible(f"asks for   {ask.count} of {whom} (hold '{ask.rule}')"))
    show_table(
        ("WHEN", "WHO", "SAID", "REASON"),
        [(each.at, each.person, each.verdict, each.reason) for each in row.approvals],
    )


def _state(state: HoldState, expires_at: datetime) -> str:
    """As of now: the ledger writes down an expiry when it next looks."""
    if state in (HoldState.OPEN, HoldState.APPROVED) and expires_at <= datetime.now(UTC):
        return HoldState.EXPIRED.value
    return state.value
