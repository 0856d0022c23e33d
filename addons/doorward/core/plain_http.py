"""Method, target, headers and body of one request -> the Action that everything else is about.

For every host that is not a cluster. What two parsers could read differently is refused, never
repaired, because the rules decide about our reading and the target acts on its own. Scheme, host,
authority and Host are not looked at: the gateway rewrites them from the target. Called by
`gateway.interpret`; pure.
"""

import hashlib
import re

from doorward.core.headers import Headers, answer_headers, forwarded_headers, without_conditions
from doorward.core.method_override import refuse_override
from doorward.core.paths import ParsedPath, parse_target
from doorward.errors import Unclear
from doorward.model import Action, Principal, Risk, Target

__all__ = ["ParsedPath", "answer_headers", "forwarded_headers", "parse_target", "read_action", "risk_of"]

_METHOD = re.compile(r"[A-Z][A-Z0-9-]{0,31}")
_RISKS = {
    "GET": Risk.LOW,
    "HEAD": Risk.LOW,
    "OPTIONS": Risk.LOW,
    "TRACE": Risk.LOW,
    "POST": Risk.MEDIUM,
    "PUT": Risk.MEDIUM,
    "PATCH": Risk.MEDIUM,
    "DELETE": Risk.HIGH,
}


def risk_of(method: str) -> Risk:
    """Risk of a method before any rule raises it; one that we do not know is high."""
    return _RISKS.get(method, Risk.HIGH)


def read_action(
    principal: Principal,
    target: Target,
    method: str,
    raw_target: str,
    headers: Headers,
    body: bytes,
    *,
    credential_header: str | None,
    body_mask: bool,
) -> Action:
    """Read one request; `body` is decoded from its content coding already.

    `credential_header` is the header in which the target's credential travels; `body_mask` says
    that a mask may apply to the body of the answer. Raises Unclear, or Refused for an upgrade.
    """
    if not _METHOD.fullmatch(method) or method == "CONNECT":
        raise Unclear("the method is malformed", cause="method", hint="send a method in upper case, such as GET")
    parsed = parse_target(raw_target, target)
    forwarded = forwarded_headers(headers, target, credential_header=credential_header, body_mask=body_mask)
    if body_mask:
        forwarded = without_conditions(forwarded, method)
    refuse_override(method, parsed.query, dict(forwarded).get("content-type"), body)
    return Action(
        principal=principal,
        target=target.name,
        target_url=target.url,
        protocol="http",
        verb=method,
        path=parsed.path,
        raw_path=parsed.raw_path,
        query=parsed.query,
        raw_query=parsed.raw_query,
        headers=forwarded,
        body_digest=hashlib.sha256(body).hexdigest(),
        risk=risk_of(method),
    )
