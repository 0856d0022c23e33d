"""Whether a written body carries what a mask put in the place of a value.

An agent that sends a masked document back would destroy what the mask hid; the gateway
refuses such a body (422). Any spelling that the target could undo counts. Called by the
gateway before a request with a body is sent.
"""

from functools import lru_cache

from doorward.core.redaction.echo import EchoGuard


def carries_sentinel(body: bytes, sentinel: str) -> bool:
    """Whether the sentinel stands in the body, plain or encoded."""
    return _guard(sentinel).found(body)


@lru_cache(maxsize=8)
def _guard(sentinel: str) -> EchoGuard:
    return EchoGuard([sentinel.encode()])
