"""The only writer of refusals: RFC 9457 problem details, plain to a person and to a language model.

Says what happened, which rules took part, whether the target acted (`executed`), and what to
do next. Quotes nothing that a target sent. Who calls it: `guard`, and `mitm` for the pages
that mitmproxy would otherwise write itself.
"""

import json
from collections.abc import Mapping

from mitmproxy import http

from doorward.core.policy import Policy
from doorward.errors import (
    DoorwardError,
    Misconfigured,
    Refused,
    TargetFailed,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Withheld,
)
from doorward.gateway.exchange import Exchange, Executed
from doorward.model import Decision, HoldState, Json

# RFC 9457, section 3.1.1: the type identifies the problem; a URN, since there is nothing to fetch.
_TYPE = "urn:doorward:refusal:"
_OF_THE_CONNECTION = frozenset({"principal-blocked"})  # causes that last as long as the connection
_TITLES: tuple[tuple[type[DoorwardError], str], ...] = (
    (Unauthenticated, "no valid identity"),
    (TooLarge, "too large"),
    (Withheld, "the answer was withheld"),
    (TargetFailed, "the target failed"),
    (Unavailable, "the gateway cannot serve this now"),
    (Misconfigured, "the gateway is misconfigured"),
)


def refuse(flow: http.HTTPFlow, exchange: Exchange, error: DoorwardError) -> None:
    """Put the refusal in the place of any answer, and remember it for the record."""
    exchange.refusal = error.with_traceback(None)  # which leads back to exchange and flow, and keeps their bodies
    flow.response = problem_response(error, exchange, exchange.executed)
    if flow.request.data.method == b"HEAD":
        flow.response.raw_content = b""  # else a client reads it as the answer to its next request


def problem_response(error: DoorwardError, exchange: Exchange, executed: Executed) -> http.Response:
    """The answer that tells of `error`."""
    problem: dict[str, Json] = {
        "type": _TYPE + error.cause,
        "title": _title(error),
        "status": error.status,
        "detail": error.message,
        "cause": error.cause,
        "executed": executed,
        "rules": list(exchange.refused_rules),
        "next": error.hint,
        "request": exchange.id,
    }
    headers = {"Content-Type": "application/problem+json", "Cache-Control": "no-store", "Doorward-Request": exchange.id}
    if isinstance(error, Unauthenticated):
        headers["Proxy-Authenticate"] = 'Basic realm="doorward"'  # RFC 9110, section 15.5.8
    if isinstance(error, Unauthenticated) or error.cause in _OF_THE_CONNECTION:
        headers["Connection"] = "close"  # makes clients open another, with a fresh token
    if isinstance(error, Unavailable) and executed == "no":
        headers["Retry-After"] = "5"
    if exchange.hold is not None and exchange.hold.state is HoldState.OPEN:
        problem["hold"] = exchange.hold.id
        headers["Doorward-Hold"] = exchange.hold.id
    return http.Response.make(error.status, _body(problem), headers)


def _title(error: DoorwardError) -> str:
    if error.cause == "held":
        return "waits for a person"
    if error.cause == "principal-blocked":
        return "blocked by the operator"
    return next((title for family, title in _TITLES if isinstance(error, family)), "refused by policy")


def unknown_host(policy: Policy, host: str, port: int) -> Refused:
    """The refusal of a host that is no target's; names the hosts that are."""
    known = sorted({f"{name}:{number}" for target in policy.targets.values() for name, number in target.hosts})
    return Refused(
        f"no target has the host {host[:100]}:{port}",
        cause="unknown-host",
        hint=f"ask for one of: {', '.join(known[:20])}" if known else "the policy has no targets yet",
    )


def denied(decision: Decision) -> Refused:
    """The refusal that a deny of the policy becomes."""
    return Refused(
        decision.reason,
        cause="policy",
        hint="this is not allowed to you; ask for another way or tell the operator which rule stands in it",
    )


def _body(problem: Mapping[str, Json]) -> bytes:
    return json.dumps(problem, indent=2).encode() + b"\n"
