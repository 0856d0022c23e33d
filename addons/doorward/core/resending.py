"""A recorded request that may be sent again, because the record holds all of it.

Masks leave no sure trace: a removed field is simply not there, and `null` may have been `null`. But
the intent names the keyed digest of the request as it went out. What is made here is
checked against it: only a request that gives the same digest has nothing masked, cut or left
out. Pure; it sends nothing and decides nothing, the gateway does.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from doorward.core.digest import action_digest
from doorward.core.recorded import Kept, RecordedFlow
from doorward.errors import Refused
from doorward.model import Action, Principal, Risk

# Of the recorded head; the client and the gateway make these anew. The body is recorded without its coding.
_MADE_ANEW: Final = frozenset({"host", "content-length", "content-encoding", "accept-encoding", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class Resend:
    """What to ask the gateway for."""

    method: str
    raw_target: str  # path and query, as it went out
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Sent:
    """What the intent says of the request that went out."""

    digest: str | None
    credential: str | None
    generation: str | None


def resend_of(flow: RecordedFlow, sent: Sent, key: bytes) -> Resend:
    """Return the request; raises Refused where any part of it is not in the record as it went out."""
    if flow.decision != "intent" or not sent.digest or not flow.principal or not flow.target or not flow.url:
        raise Refused(
            "only a request that went out can be sent again from the record",
            cause="not-sent",
            hint="have the agent repeat it",
        )
    if flow.asked.kept not in (Kept.WHOLE, Kept.NONE):
        raise _hidden(f"its body is {flow.asked.kept}")
    url, raw_path, raw_query = _split(flow.url)
    issuer, _, subject = flow.principal.partition(":")
    action = Action(
        principal=Principal(issuer, subject),
        target=flow.target,
        target_url=url,
        protocol="http",
        verb=flow.method,
        path=raw_path,
        raw_path=raw_path,
        query=(),
        raw_query=raw_query,
        headers=flow.asked.headers,
        body_digest=hashlib.sha256(flow.asked.body).hexdigest(),
        risk=Risk.LOW,
    )
    if action_digest(key, action, credential=sent.credential, generation=sent.generation) != sent.digest:
        raise _hidden("a mask hides a part of its query, headers or body")
    return Resend(
        method=flow.method,
        raw_target=raw_path + (f"?{raw_query}" if raw_query else ""),
        headers=tuple(pair for pair in flow.asked.headers if pair[0].lower() not in _MADE_ANEW),
        body=flow.asked.body,
    )


def _hidden(why: str) -> Refused:
    return Refused(
        f"the record does not hold this request as it went out: {why}",
        cause="masked-part",
        hint="nothing was sent; have the agent repeat it",
    )


def _split(url: str) -> tuple[str, str, str]:
    """The target's URL, raw path and raw query of a recorded URL, byte for byte."""
    scheme, separator, rest = url.partition("://")
    authority, slash, path_and_query = rest.partition("/")
    raw_path, _, raw_query = (slash + path_and_query).partition("?")
    return scheme + separator + authority, raw_path, raw_query
