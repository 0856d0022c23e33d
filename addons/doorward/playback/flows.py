"""A recorded flow as mitmproxy's own, whole and finished; and the bytes of its files.

The other copies of the console (`console.copies`) have no bodies and are made to look at.
These are made to be read by programs, so texts are as the record has them. What mitmproxy
has no field for stands in the flow's comment and in its metadata under `doorward`.
"""

import io
import uuid
from typing import Final
from urllib.parse import urlsplit

from mitmproxy import connection, flow, http
from mitmproxy.io import tnetstring

from doorward.core.recorded import Kept, Message, RecordedFlow, text_of

_SPACE: Final = uuid.UUID("6d0f7a55-9a37-5a3c-8a53-6c1ec6a4f4b1")
# The record holds bodies without coding and framing; their own headers would say otherwise.
_FRAMING: Final = frozenset({"content-length", "content-encoding", "transfer-encoding"})


def mitmproxy_flow(recorded: RecordedFlow) -> http.HTTPFlow:
    """Return the flow; not live, and with a response only where the target's answer is recorded."""
    started = recorded.at.timestamp()
    ended = started + (recorded.duration_ms or 0) / 1000
    scheme, host, port, path = url_parts(recorded.url, recorded.target or "unknown.invalid")
    made = http.HTTPFlow(
        connection.Client(
            peername=("", 0), sockname=("", 0), timestamp_start=started, state=connection.ConnectionState.CLOSED
        ),
        connection.Server(address=(host, port), state=connection.ConnectionState.CLOSED),
    )
    made.id = str(uuid.uuid5(_SPACE, recorded.request))
    made.live = False
    made.timestamp_created = started
    made.request = http.Request(
        host=host,
        port=port,
        method=_bytes(recorded.method or "UNKNOWN"),
        scheme=scheme.encode(),
        authority=b"",
        path=_bytes(path),
        http_version=b"HTTP/1.1",
        headers=_headers(recorded.asked, b""),
        content=recorded.asked.body,
        trailers=None,
        timestamp_start=started,
        timestamp_end=started,
    )
    made.request.headers.insert(0, "Host", host if port in (80, 443) else f"{host}:{port}")
    if recorded.answered is not None:
        made.response = answer_of(recorded, recorded.answered)
        made.response.timestamp_start = made.response.timestamp_end = ended
    else:  # mitmdump prints no flow that has neither
        made.error = flow.Error(text_of(recorded) or "no answer is recorded", ended)
    made.comment = text_of(recorded)
    made.metadata["doorward"] = {
        "request": recorded.request,
        "decision": recorded.decision,
        "executed": recorded.executed,
        "principal": recorded.principal,
        "target": recorded.target,
        "rules": list(recorded.rules),
        "cause": recorded.cause,
        "count": recorded.count,
        "request_body": recorded.asked.kept.value,
        "response_body": recorded.answered.kept.value if recorded.answered else Kept.NOT_KEPT.value,
    }
    return made


def answer_of(recorded: RecordedFlow, answered: Message) -> http.Response:
    """Return the target's answer in its masked form, with the length that this form has."""
    is_head = recorded.method == "HEAD"
    stated = answered.header("content-length") if is_head else None
    length = stated if is_head else None if recorded.status in (204, 304) else str(len(answered.body))
    return http.Response(
        http_version=b"HTTP/1.1",
        status_code=recorded.status or 0,
        reason=b"",
        headers=_headers(answered, (length or "").encode()),
        content=answered.body,
        trailers=None,
        timestamp_start=0.0,
        timestamp_end=0.0,
    )


def mitmproxy_bytes(recorded: RecordedFlow) -> bytes:
    """Return one flow as it stands in mitmproxy's files, which are such flows one after the other."""
    file = io.BytesIO()
    tnetstring.dump(mitmproxy_flow(recorded).get_state(), file)
    return file.getvalue()


def url_parts(url: str, otherwise: str) -> tuple[str, str, int, str]:
    """Return scheme, host, port and path with query; of a URL that cannot be read, a host that leads nowhere."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        host = port = None
    if not host:
        return "https", otherwise, 443, "/"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    scheme = "http" if parts.scheme == "http" else "https"
    return scheme, host, port or (80 if scheme == "http" else 443), path


def _headers(message: Message, length: bytes) -> http.Headers:
    fields = [(_bytes(name), _bytes(value)) for name, value in message.headers if name.lower() not in _FRAMING]
    if not length and message.body:
        length = b"%d" % len(message.body)
    return http.Headers([*fields, (b"Content-Length", length)] if length else fields)


def _bytes(text: str) -> bytes:
    """Heads are recorded one character a byte."""
    return text.encode("latin-1", "backslashreplace")
