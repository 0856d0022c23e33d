"""Requests as agents never send them: generated whole, then bent at random, for HTTP/1 and HTTP/2."""

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

HOST = "billing.internal"
TOKEN_LINE = "Proxy-Authorization: Bearer TOKEN"  # to be replaced by a real one
_SPECIAL = [
    b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\0", b" ", b"\t", b"\x0b", b"\x0c", b"\x80", b":", b",", b";", b"%",
    b"%00",
    b"/", b"..", b"?", b"#", b"&", b"\\", b"_", b"chunked", b"0\r\n\r\n", b"Content-Length: 5\r\n", b"\r\n x: y",
    b"Transfer-Encoding: chunked\r\n", b"HTTP/1.0", b"HTTP/2.0", b"Host: evil\r\n", b"-1", b"+", b"0x",
    b"CONNECT ",
    b"GET /v1/smuggled HTTP/1.1\r\nHost: billing.internal\r\n\r\n",
]  # fmt: skip


@dataclass(frozen=True)
class Http1Attempt:
    """Bytes for one connection; `requests` is how many were meant, None where they were bent."""

    raw: bytes
    requests: int | None


@dataclass(frozen=True)
class Http2Attempt:
    """One stream."""

    method: str
    path: str
    authority: str
    fields: list[tuple[str, str]]
    body: bytes
    trailers: list[tuple[str, str]]
    is_good: bool

    def send(self) -> dict[str, Any]:
        """The parts as the tests' agent takes them."""
        return {name: value for name, value in vars(self).items() if name != "is_good"}


METHODS = st.sampled_from(
    ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "get", "Get", "G3T", "CONNECT"]
)
GOOD_METHODS = st.sampled_from(["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD"])
SEGMENTS = st.sampled_from(
    [
        "a", "b c", "%41", "%61", "%C3%A9", "é", "%00", "%2F", "%5c", "..", ".", "%2e%2e", "", "%25", "%2541",
        ";x=1", "a;b",
        "\\", "a+b", "~", "%", "%zz", "%c0%af", "%EF%BC%8F", "secrets", "\t", "*", ":8080", "@evil", "a=b",
    ]
)  # fmt: skip
GOOD_SEGMENTS = st.sampled_from(["a", "%41", "%C3%A9", "a+b", "~", "*", "a=b", "a@b", "%20"])
QUERIES = st.sampled_from(
    ["", "?", "?a=1", "?a=1&b=2", "?a=1&a=2", "?a=%26b=1", "?a=1;b=2", "?%61=1&a=2", "?a=+", "?a=%2B", "?a=\0",
    "?_method=PUT",
     "?a=é", "?a=%zz", "?a=1#b", "??", "?a=%0d%0aX:%20y", "?a[]=1", "?=", "?&"]
)  # fmt: skip
GOOD_QUERIES = st.sampled_from(["", "?a=1", "?a=1&b=2", "?a=%26b=1", "?a=%2B", "?a[]=1", "?a=%0d%0a"])
NAMES = st.sampled_from(
    [
        "Accept", "X-A", "x-a", "X_A", "X-B", "Content-Type", "Cookie", "Authorization", "Host",
        "Content-Length", "Expect",
        "Transfer-Encoding", "Transfer_Encoding", "Content_Length", "Connection", "Upgrade", "TE", "Trailer",
        "Range",
        "X-Forwarded-For", "X-HTTP-Method-Override", "Proxy-Authorization", "Keep-Alive", "If-Match", "Via",
        "Date",
        "Content-Encoding", "Content-Location", "X A", "X-A ", " X-A", "X\x0bA", "", "X-É", "Doorward-Request",
        "Forwarded",
    ]
)  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(
        [
            "", "a", " a", "a ", "a,b", "0", "5", "+5", "5, 5", "1e1", "chunked", "identity",
            "chunked, chunked", "Chunked",
            "gzip, chunked", "close", "keep-alive", "X-A", "content-length", "100-continue", "h2c",
            "websocket", "trailers",
            "text/plain", "application/json", "gzip", HOST, "evil", f"{HOST}:443", "a\tb", "a\x0bb", "a\x7fb",
            "é", "a: b",
        ]
    ),
    st.text(st.characters(min_codepoint=0, max_codepoint=255), max_size=8),
)  # fmt: skip
GOOD_FIELDS = st.lists(
    st.sampled_from([("Accept", "*/*"), ("X-A", "a,b"), ("x-b", ""), ("X-C", "a\tb"), ("Date", "x"), ("Via", "1.1 a")]),
    max_size=4,
)
BODIES = st.sampled_from(
    [b"", b"{}", b"a=b", b"GET /v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n", b"\0" * 70, b"0\r\n\r\n"]
)


@st.composite
def good_requests(draw: st.DrawFn, plain: bool) -> bytes:
    """A request that has one reading, in one of its spellings."""
    path = "/v1/" + "/".join(draw(st.lists(GOOD_SEGMENTS, min_size=1, max_size=3))) + draw(GOOD_QUERIES)
    body = draw(BODIES)
    start = f"http://{HOST}" if plain else ""
    lines = [f"{draw(GOOD_METHODS)} {start}{path} HTTP/1.1", f"Host: {HOST}", *([TOKEN_LINE] if plain else [])]
    lines += [f"{name}: {value}" for name, value in draw(GOOD_FIELDS)]
    if not body:
        framing, sent = [], b""
    elif draw(st.booleans()):
        framing, sent = [f"Content-Length: {len(body)}"], body
    else:
        cut = draw(st.integers(1, len(body)))
        parts = [part for part in (body[:cut], body[cut:]) if part]
        framing = ["Transfer-Encoding: chunked"]
        sent = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    return "\r\n".join([*lines, *framing, "", ""]).encode("latin-1") + sent


@st.composite
def _odd_requests(draw: st.DrawFn, plain: bool) -> bytes:
    """A request of odd parts, whose length may be wrong."""
    path = draw(
        st.sampled_from(["/v1/", "/v1/", "/v1/", "http://billing.internal/v1/", "https://evil/", "//evil/", "*", ""])
    )
    path += "/".join(draw(st.lists(SEGMENTS, max_size=3))) + draw(QUERIES)
    version = draw(
        st.sampled_from(["HTTP/1.1"] * 5 + ["HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1.1 ", ""])
    )
    lines = [f"{draw(METHODS)} {path} {version}"]
    if draw(st.integers(0, 9)):
        lines.append(f"Host: {HOST}")
    lines += [TOKEN_LINE] if plain else []
    lines += [f"{name}: {value}" for name, value in draw(st.lists(st.tuples(NAMES, VALUES), max_size=4))]
    body = draw(BODIES)
    sent = body
    match draw(st.integers(0, 8)):
        case 0:
            lines.append(f"Content-Length: {len(body)}")
        case 1:
            lines.append(f"Content-Length: {max(0, len(body) - 1)}")
        case 2:
            lines.append(f"Content-Length: {len(body) + 7}")
        case 3:
            lines += [f"Content-Length: {len(body)}", f"Content-Length: {len(body) + 1}"]
        case 4:
            lines.append("Transfer-Encoding: chunked")
            sent = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        case 5:
            lines.append("Transfer-Encoding: chunked")
            sent = b"%x;a=b\r\n%s\r\n0\r\nX-Trailer: a\r\n\r\n" % (len(body), body)
        case 6:
            lines += ["Transfer-Encoding: chunked", f"Content-Length: {len(body)}"]
        case _:
            sent = b""
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + sent


@st.composite
def http1_attempts(draw: st.DrawFn, plain: bool = False) -> Http1Attempt:
    """Some requests in a row: good ones, odd ones, or bent ones; `plain` ones are for no tunnel, each with a token."""
    if draw(st.integers(0, 3)) == 0:
        good = draw(st.lists(good_requests(plain), min_size=1, max_size=3))
        return Http1Attempt(b"".join(good), len(good))
    requests = draw(st.lists(st.one_of(good_requests(plain), _odd_requests(plain)), min_size=1, max_size=3))
    raw = b"".join(requests)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(raw)))
        raw = raw[:at] + draw(st.sampled_from([b"", *_SPECIAL])) + raw[at + draw(st.integers(0, 3)) :]
    return Http1Attempt(raw, None)


PSEUDO = st.sampled_from([":path", ":method", ":authority", ":scheme", ":status", ":protocol"])
LOWER_NAMES = NAMES.map(str.lower)


@st.composite
def http2_attempts(draw: st.DrawFn) -> Http2Attempt:
    """One stream: a good one, or one of odd parts."""
    if draw(st.integers(0, 2)) == 0:
        path = "/v1/" + "/".join(draw(st.lists(GOOD_SEGMENTS, min_size=1, max_size=3))) + draw(GOOD_QUERIES)
        good = [(name.lower(), value) for name, value in draw(GOOD_FIELDS)]
        body = draw(BODIES)
        framing = [("content-length", str(len(body)))] if draw(st.booleans()) else []
        return Http2Attempt(draw(GOOD_METHODS), path, HOST, good + framing, body, [], is_good=True)
    field = st.tuples(st.one_of(LOWER_NAMES, LOWER_NAMES, NAMES, PSEUDO), VALUES)
    start = draw(st.sampled_from(["/v1/"] * 4 + ["", "*", "http://evil/v1/", "//evil/", " /v1/"]))
    return Http2Attempt(
        method=draw(st.one_of(GOOD_METHODS, METHODS, st.sampled_from(["GET /v1/x HTTP/1.1\r\nX:", "", "G T"]))),
        path=start + "/".join(draw(st.lists(st.one_of(GOOD_SEGMENTS, SEGMENTS), max_size=3))) + draw(QUERIES),
        authority=draw(st.sampled_from([HOST] * 6 + ["", "evil", f"{HOST}:443", f"{HOST}:8443", f"x@{HOST}", "E\r\n"])),
        fields=draw(st.lists(field, max_size=4)),
        body=draw(BODIES),
        trailers=draw(st.sampled_from([[], [], [("x-trailer", "a")], [("content-length", "0")], [(":path", "/v1/x")]])),
        is_good=False,
    )
