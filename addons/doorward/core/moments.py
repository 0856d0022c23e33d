"""Moments as people write them in commands: `2026-11-23T08:00:00Z`, or `2h` for two hours ago.

Pure: `now` is an argument. A time without its zone is refused, since two people would read it
differently.
"""

from datetime import UTC, datetime, timedelta

from doorward.core.units import parse_duration_s
from doorward.errors import Misconfigured


def parse_moment(text: str, now: datetime) -> datetime:
    """Return the moment, in UTC; raises Misconfigured."""
    try:
        return now - timedelta(seconds=parse_duration_s(text))
    except (Misconfigured, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or "T" not in text.upper():
        raise Misconfigured(
            f"{text[:60]!r} is no moment",
            cause="bad-moment",
            hint="write it as 2026-11-23T08:00:00Z, or as 45s, 15m, 2h or 1d for so long ago",
        )
    return moment.astimezone(UTC)
