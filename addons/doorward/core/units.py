"""Durations and sizes as people write them in settings and policies: `45s`, `16MiB`.

Not a general quantity parser: whole numbers with one unit, as design and docs show them.
"""

import re

from doorward.errors import Misconfigured

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_FORM = re.compile(r"(0|[1-9][0-9]{0,8})([A-Za-z]+)")


def parse_duration_s(text: str) -> int:
    """Seconds of `45s`, `15m`, `1h`, `7d`; raises Misconfigured for anything else, and for nought."""
    return _parse(text, _SECONDS, "duration", "write it as 45s, 15m, 1h or 7d")


def parse_size_bytes(text: str) -> int:
    """Bytes of `512B`, `64KiB`, `16MiB`, `1GiB`; raises Misconfigured for anything else, and for nought."""
    return _parse(text, _BYTES, "size", "write it as 64KiB, 16MiB or 1GiB")


def _parse(text: str, units: dict[str, int], what: str, hint: str) -> int:
    match = _FORM.fullmatch(text)
    if match is None or match[2] not in units or match[1] == "0":
        raise Misconfigured(f"{text!r} is no {what}", cause="bad-unit", hint=hint)
    return int(match[1]) * units[match[2]]
