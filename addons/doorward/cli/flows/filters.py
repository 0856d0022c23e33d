"""Options that say which flows are meant, the same for every command that looks back."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click

from doorward.cli.output import plain
from doorward.core.moments import parse_moment
from doorward.errors import Misconfigured
from doorward.ledger.reader import Wanted
from doorward.model import Json
from doorward.store.flow_filter import FlowFilter

DECISIONS = ("intent", "refused", "held")
EXECUTED = ("yes", "no", "unknown")


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the options say."""

    filter: FlowFilter
    text: str | None
    in_bodies: bool

    def wanted(self, **more: Any) -> Wanted:
        """Return what the reader of the record is asked for."""
        return Wanted(self.filter, self.text, self.in_bodies, **more)

    def as_json(self) -> dict[str, Json]:
        """Return the options that were given, for the record."""
        given = {**plain(self.filter), "text": self.text, "in_bodies": self.in_bodies or None}
        return {name: value for name, value in given.items() if value is not None}


def _moment(_: click.Context, option: click.Parameter, value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        return parse_moment(value, datetime.now(UTC))
    except Misconfigured as error:
        raise click.BadParameter(f"{error.message}; {error.hint}", param=option) from None


_OPTIONS = (
    click.option("--principal", help="Only of this principal, ISSUER:SUBJECT."),
    click.option("--target", help="Only of this target."),
    click.option("--decision", type=click.Choice(DECISIONS), help="Only with this decision."),
    click.option("--executed", type=click.Choice(EXECUTED), help="Only those that the target acted on, or not."),
    click.option("--rule", help="Only those in which this rule took part: role, hold, deny or mask."),
    click.option("--since", callback=_moment, help="Not before: 2026-11-23T08:00:00Z, or 2h for two hours ago."),
    click.option("--until", callback=_moment, help="Before: a time, or so long ago."),
    click.option("--text", help="Only with this text in URL or headers, as the record holds them: masked."),
    click.option("--in-bodies", is_flag=True, help="Look for --text in bodies too; they are read, which is recorded."),
)


def filtered(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options; it gets them as one argument `chosen`."""

    @functools.wraps(command)
    def run(
        *given: Any,
        principal: str | None,
        target: str | None,
        decision: str | None,
        executed: str | None,
        rule: str | None,
        since: datetime | None,
        until: datetime | None,
        text: str | None,
        in_bodies: bool,
        **rest: Any,
    ) -> Any:
        if in_bodies and not text:
            raise click.UsageError("--in-bodies needs --text")
        wanted = FlowFilter(None, principal, target, decision, executed, rule, since, until)
        return command(*given, chosen=Chosen(wanted, text or None, in_bodies), **rest)

    for option in reversed(_OPTIONS):
        run = option(run)
    return run


def checked_why(why: str) -> str:
    """Return the reason for a reading; it is not empty."""
    if not why.strip():
        raise click.UsageError("--why needs a reason: it goes into the record")
    return why.strip()
