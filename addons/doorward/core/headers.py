"""Which headers pass, in both directions, and which make a message unclear.

Tables first: what the gateway controls itself (identity, credential, way, framing) is dropped from
the agent's request, and what would betray the original of a masked answer is dropped from the
target's. A header that two parsers could read differently is refused instead of repaired. Values
are not masked here (`core.redaction.names`), and Host, Content-Length and Accept-Encoding are set
by the gateway afterwards. Called by `core.plain_http`, which re-exports the two functions.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from doorward.errors import Refused, Unclear, Withheld
from doorward.model import Target

type Headers = Sequence[tuple[str, str]]

# RFC 9110, section 7.6.1, and RFC 9113, section 8.2.2
HOP_BY_HOP = frozenset({
    "connection", "http2-settings", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection",
    "te", "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip
_FROM_AGENT = frozenset({
    "authorization",  # the agent's is never the target's
    "expect",  # the body is here already; a 100 from the target would take the place of its answer
    "forwarded", "x-forwarded", "x-real-ip", "true-client-ip", "client-ip", "x-client-ip", "x-cluster-client-ip",
    "cf-connecting-ip", "cf-connecting-ipv6", "cf-pseudo-ipv4", "fastly-client-ip", "fly-client-ip",
    "x-appengine-user-ip", "x-azure-clientip", "x-azure-socketip", "x-envoy-external-address",
    "x-original-forwarded-for", "x-originating-ip",  # who asked, and from where
    "x-original-url", "x-original-uri", "x-rewrite-url", "x-original-host", "x-host", "x-http-host-override",
    "x-http-method", "x-http-method-override", "x-method-override",  # what is asked
    "remote-user",  # whom a front proxy vouches for
})  # fmt: skip
# The last two: whom a Kubernetes or other front proxy acts for; only a gateway may say so.
_FROM_AGENT_PREFIXES = ("proxy-", "x-forwarded-", "doorward-", "impersonate-", "x-remote-")
# These give a part of a body.
_PARTIAL = frozenset({"range", "if-range"})
# A 304 or 412 to one of these tells whether a guess of the original was right: an ETag may be a digest of it.
_CONDITIONS = frozenset({"if", "if-match", "if-none-match"})  # RFC 9110, section 13.1; RFC 4918, section 10.4
_READS = ("GET", "HEAD")
# How the message is read: never nominated by Connection, never masked.
FRAMING = frozenset({"host", "content-length", "content-type", "content-encoding"})
_SINGLE = FRAMING | {"transfer-encoding"}
_NEVER_FORWARDED = HOP_BY_HOP | _FROM_AGENT | {"host"}
_CONTROLLED = HOP_BY_HOP | _FROM_AGENT | _PARTIAL | _CONDITIONS | _SINGLE | {"cookie"}
_FROM_TARGET = frozenset({"alt-svc"})  # would send the agent to another door
_FROM_TARGET_PREFIXES = ("proxy-", "doorward-")
_NEVER_RETURNED = HOP_BY_HOP | _FROM_TARGET
_COOKIES = frozenset({"set-cookie", "set-cookie2"})
_OF_THE_ORIGINAL = re.compile(r"etag|digest|.*-digest|content-range|.*-(?:checksum|hash|md5|crc|sha1|sha2|sha3|sha5).*")

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_REQUEST_VALUE = re.compile(r"[\t\x20-\x7e]*")
_ANSWER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_LENGTH = re.compile(r"[0-9]{1,18}")


def forwarded_headers(
    headers: Headers, target: Target, *, credential_header: str | None, body_mask: bool
) -> tuple[tuple[str, str], ...]:
    """Return what goes on to the target, names in lower case, order kept, without Host.

    `body_mask`: a mask of a body may apply to the answer. Raises Unclear for what is open to two
    readings, Refused (cause `upgrade`) for a change of protocol.
    """
    present = [(_checked_name(name), _checked_value(value)) for name, value in headers]
    own = credential_header.lower() if credential_header else None
    nominated = _nominated(value for name, value in present if name == "connection")
    _refuse_upgrade(present, nominated)
    _refuse_ambiguous(present, own)
    if kept := nominated & FRAMING or {name for name in nominated if name.startswith("content-")}:
        raise Unclear(f"Connection lists {min(kept)}", cause="connection-header", hint="list hop-by-hop headers only")
    return tuple(
        (name, value)
        for name, value in present
        if name not in _NEVER_FORWARDED
        and name not in nominated
        and name != own
        and (target.cookies or name != "cookie")
        and not (body_mask and name in _PARTIAL)
        and not name.startswith(_FROM_AGENT_PREFIXES)
    )


def without_conditions(headers: Headers, method: str) -> tuple[tuple[str, str], ...]:
    """What goes on where a body mask may apply: no condition on an ETag, which the agent cannot know from us.

    On a read it is dropped: the worst is a whole answer. On a write it guards against lost updates,
    so it is never dropped: `*` stays, and a tag raises Refused (cause `condition`).
    """
    if method in _READS:
        return tuple(field for field in headers if field[0] not in _CONDITIONS)
    if any(name in _CONDITIONS and value.strip(" \t") != "*" for name, value in headers):
        raise Refused(
            "a condition on an ETag would tell whether a guess of what is masked is right",
            cause="condition",
            hint="leave If-Match and If-None-Match out, or send * in them",
        )
    return tuple(headers)


def answer_headers(headers: Headers, target: Target, *, masked: bool) -> tuple[tuple[str, str], ...]:
    """Return what goes back to the agent, names and order as they came.

    `masked`: a mask of a body applies to this answer. Raises Withheld where the head could be read
    in two ways.
    """
    names = Counter(name.lower() for name, _ in headers)
    if any(not _TOKEN.fullmatch(name) or not _ANSWER_VALUE.fullmatch(value) for name, value in headers):
        raise Withheld(
            "a header of the answer is malformed", cause="answer-headers", hint="the target sent what HTTP forbids"
        )
    if names["content-length"] > 1 or (masked and max(names["content-type"], names["content-encoding"]) > 1):
        raise Withheld(
            "a header of the answer that must be single stands twice",
            cause="answer-headers",
            hint="the target contradicts itself about its body",
        )
    nominated = {
        listed.strip().lower() for name, value in headers if name.lower() == "connection" for listed in value.split(",")
    } - {"content-type", "content-encoding", "content-length"}

    def is_dropped(name: str) -> bool:
        return (
            name in _NEVER_RETURNED
            or name in nominated
            or (not target.cookies and name in _COOKIES)
            or name.startswith(_FROM_TARGET_PREFIXES)
            or (masked and _OF_THE_ORIGINAL.fullmatch(name) is not None)
        )

    return tuple((name, value) for name, value in headers if not is_dropped(name.lower()))


def is_token(name: str) -> bool:
    """Whether a header may have this name."""
    return _TOKEN.fullmatch(name) is not None


def _checked_name(name: str) -> str:
    if not is_token(name):
        raise Unclear("a header's name is malformed", cause="header-name", hint="names are tokens of RFC 9110")
    return name.lower()


def _checked_value(value: str) -> str:
    if not _REQUEST_VALUE.fullmatch(value):
        raise Unclear(
            "a header's value holds control characters, a folded line or characters beyond ASCII",
            cause="header-value",
            hint="send visible ASCII, spaces and tabs",
        )
    return value


def _nominated(values: Iterable[str]) -> frozenset[str]:
    """Names that Connection lists (RFC 9110, section 7.6.1: a proxy takes them off)."""
    names = {listed.strip(" \t").lower() for value in values for listed in value.split(",")} - {""}
    if any(not _TOKEN.fullmatch(name) for name in names):
        raise Unclear("Connection is malformed", cause="connection-header", hint="list names of headers")
    return frozenset(names)


def _refuse_upgrade(present: Headers, nominated: frozenset[str]) -> None:
    asking = {"upgrade", "http2-settings"}
    if asking & nominated or any(name in asking for name, _ in present):
        raise Refused(
            "the request asks to change the protocol",
            cause="upgrade",
            hint="send it without Upgrade; WebSocket and h2c do not pass the gateway",
        )


def _refuse_ambiguous(present: Headers, own: str | None) -> None:
    counted = Counter(name for name, _ in present)
    if len(counted) < len(present):
        for name in sorted(_SINGLE):
            if counted[name] > 1:
                raise Unclear(f"{name} stands twice", cause="repeated-header", hint=f"send one {name}")
    lengths = [value for name, value in present if name == "content-length"]
    if lengths and (counted["transfer-encoding"] or not _LENGTH.fullmatch(lengths[0])):
        raise Unclear(
            "the length of the body is unclear", cause="body-length", hint="send one Content-Length of digits alone"
        )
    if not any("_" in name for name in counted):
        return
    dashed = Counter(name.replace("_", "-") for name in counted)
    for name in counted:
        twin = name.replace("_", "-")
        controlled = twin in _CONTROLLED or twin == own or twin.startswith(_FROM_AGENT_PREFIXES)
        if dashed[twin] > 1 or ("_" in name and controlled):
            raise Unclear(
                "a header's name differs from another only by _ and -", cause="underscore-twin", hint="write it with -"
            )
