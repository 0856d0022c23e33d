"""The decorator on every hook of this plane: whatever goes wrong becomes a refusal.

mitmproxy logs a hook that raises and goes on, so addons fail open by nature
(`mitmproxy/addonmanager.py`, `safecall`); and an answer set by one addon does not stop the
`request` hooks of the next. Hence: an exception or a passed deadline refuses the flow, and
a refused flow skips the remaining steps of its request. Steps of the answer always run,
since they are what clears and records it. A step that waits for nobody is a plain function:
no task and no deadline is made for it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Concatenate, Protocol

from mitmproxy import http

from doorward.errors import DoorwardError, TargetFailed, Unavailable, Withheld
from doorward.gateway.exchange import Exchange, Exchanges
from doorward.gateway.refuse import refuse

_log = logging.getLogger(__name__)

DEADLINE_S = 20.0


class Step(Protocol):
    """An addon of the chain: it knows where the exchanges are."""

    exchanges: Exchanges


type Hook[S] = Callable[Concatenate[S, http.HTTPFlow, Exchange, ...], Awaitable[None] | None]
type Guarded[S] = Callable[[S, http.HTTPFlow], Awaitable[None] | None]


def request_step[S: Step](*, deadline_s: float = DEADLINE_S) -> Callable[[Hook[S]], Guarded[S]]:
    """Guard a hook on the way to the target; skipped once the flow is refused."""
    return _guard(deadline_s, skip_refused=True)


def answer_step[S: Step](*, deadline_s: float = DEADLINE_S) -> Callable[[Hook[S]], Guarded[S]]:
    """Guard a hook on the way back; runs for refusals too."""
    return _guard(deadline_s, skip_refused=False)


def _guard[S: Step](deadline_s: float, *, skip_refused: bool) -> Callable[[Hook[S]], Guarded[S]]:
    def decorate(hook: Hook[S]) -> Guarded[S]:
        def guarded(self: S, flow: http.HTTPFlow) -> Awaitable[None] | None:
            exchange = self.exchanges.of(flow)
            if skip_refused and exchange.refusal is not None:
                return None
            try:
                waiting = hook(self, flow, exchange)
            except Exception as error:
                _refuse(hook, flow, exchange, error)
                return None
            # A hook that has nothing to wait for is done, and needs no deadline: nothing could stop it half-way.
            return None if waiting is None else _finish(hook, waiting, flow, exchange, deadline_s)

        guarded.__name__ = hook.__name__
        guarded.__qualname__ = hook.__qualname__
        return guarded

    return decorate


async def _finish(
    hook: Callable[..., object], waiting: Awaitable[None], flow: http.HTTPFlow, exchange: Exchange, deadline_s: float
) -> None:
    try:
        async with asyncio.timeout(deadline_s):
            await waiting
    except Exception as error:
        _refuse(hook, flow, exchange, error)


def _refuse(hook: Callable[..., object], flow: http.HTTPFlow, exchange: Exchange, error: Exception) -> None:
    match error:
        case DoorwardError():
            refusal = error
        case TimeoutError():
            _log.error("request %s: %s took too long", exchange.id, hook.__qualname__)
            refusal = _failed("a step of the gateway took too long", "gateway-timeout")
        case _:
            # The class alone: a message could quote what the agent or the target sent.
            name = type(error).__name__
            _log.error("request %s: %s raised %s", exchange.id, hook.__qualname__, name, exc_info=_where(error))
            refusal = _failed("a step of the gateway failed", "gateway-error")
    refuse(flow, exchange, _as_it_stands(refusal, exchange))


def _failed(message: str, cause: str) -> Unavailable:
    return Unavailable(
        message, cause=cause, hint="repeat the request later; if it fails again, tell the operator its id"
    )


def _as_it_stands(error: DoorwardError, exchange: Exchange) -> DoorwardError:
    """The error, unless it would ask an agent to repeat what the target may have done already."""
    if not exchange.sent or isinstance(error, Withheld | TargetFailed):
        return error
    return Withheld(
        f"the target was asked, and its answer cannot be released: {error.message}",
        cause=error.cause,
        hint="do not repeat it before you know whether it was done; the record has the request's id",
    )


def _where(error: Exception) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    """The traceback with the message taken off."""
    return (RuntimeError, RuntimeError(type(error).__name__), error.__traceback__)
