"""What the record holds of a request, as a mitmproxy flow that mitmweb can show.

A copy has masked heads and no body: where the recorded body is, and how long, stands in the
flow's metadata, and `stock` fetches it when a person opens it. A copy is never live, so
nothing that mitmweb does with it reaches an agent. Called by `feed`.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from urllib.parse import urlsplit

from mitmproxy import connection, http
from mitmproxy.flow import Flow

from doorward.core.characters import visible

_SPACE = uuid.UUID("6d0f7a55-9a37-5a3c-8a53-6c1ec6a4f4b1")  # mitmweb's ids are UUIDs; ours are made from request ids
_PLACES = "doorward"
LONGEST_VALUE = 4096


class Side(StrEnum):
    """Which half of an exchange."""

    REQUEST = "request"
    RESPONSE = "response"


@dataclass(frozen=True, slots=True)
class BodyPlace:
    """Where the ledger keeps a recorded body."""

    digests: tuple[str, ...]  # one, or those of the parts of a stream
    length: int
    what: str  # of which request, for the entry that records a reading


@dataclass(frozen=True, slots=True)
class Head:
    """The masked head of a request or an answer."""

    headers: tuple[tuple[str, str], ...] = ()
    url: str = ""  # of requests
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """All that one copy is made of."""

    request: str  # the request's id in the record
    at: datetime
    verb: str
    target: str
    comment: str
    held: bool = False
    client: str = ""
    request_head: Head = Head()
    request_body: BodyPlace | None = None
    status: int | None = None
    duration_ms: int = 0
    response_head: Head = Head()
    response_body: BodyPlace | None = None


def flow_id(request: str) -> str:
    """Return mitmweb's id for a request of the record; always the same."""
    return str(uuid.uuid5(_SPACE, request))


def copy_of(shown: Shown) -> http.HTTPFlow:
    """Return the copy; its texts are safe to look at."""
    started = shown.at.timestamp()
    ended = started + shown.duration_ms / 1000
    scheme, host, port, path = _parts(shown)
    flow = http.HTTPFlow(
        connection.Client(
            peername=_address(shown.client),
            sockname=("", 0),
            timestamp_start=started,
            state=connection.ConnectionState.CLOSED,
        ),
        connection.Server(address=(host, port), state=connection.ConnectionState.CLOSED),
    )
    flow.id = flow_id(shown.request)
    flow.client_conn.id = flow.server_conn.id = flow.id
    flow.live = False
    flow.timestamp_created = started
    flow.request = http.Request(
        host=host,
        port=port,
        method=_bytes(visible(shown.verb or "?", longest=32)),
        scheme=scheme.encode(),
        authority=b"",
        path=_bytes(path),
        http_version=b"HTTP/1.1",
        headers=_headers(shown.request_head),
        content=None,
        trailers=None,
        timestamp_start=started,
        timestamp_end=started,
    )
    if shown.status is not None:
        flow.response = http.Response(
            http_version=b"HTTP/1.1",
            status_code=shown.status,
            reason=b"",
            headers=_headers(shown.response_head),
            content=None,
            trailers=None,
            timestamp_start=ended,
            timestamp_end=ended,
        )
    flow.comment = visible(shown.comment, longest=400)
    flow.intercepted = shown.held
    flow.metadata[_PLACES] = {
        side.value: [list(place.digests), place.length, place.what]
        for side, place in ((Side.REQUEST, shown.request_body), (Side.RESPONSE, shown.response_body))
        if place is not None
    }
    return flow


def body_place(flow: Flow, side: Side) -> BodyPlace | None:
    """Return where the body of this side is recorded; None if there is none."""
    place = flow.metadata.get(_PLACES, {}).get(side.value)
    return BodyPlace(tuple(place[0]), place[1], place[2]) if place else None


def _parts(shown: Shown) -> tuple[str, str, int, str]:
    """Read the recorded URL; what cannot be read is still shown, under the target's name."""
    url = shown.request_head.url
    try:
        parts = urlsplit(url)
        port = parts.port or (80 if parts.scheme == "http" else 443)
        host = visible(parts.hostname or shown.target, longest=255)
    except ValueError:
        return "https", visible(shown.target, longest=255), 443, visible(url or "/", longest=LONGEST_VALUE)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return "http" if parts.scheme == "http" else "https", host, port, visible(path, longest=LONGEST_VALUE)


def _headers(head: Head) -> http.Headers:
    return http.Headers(
        [
            (_bytes(visible(name, longest=200)), _bytes(visible(value, longest=LONGEST_VALUE)))
            for name, value in head.headers
        ]
    )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _address(client: str) -> tuple[str, int]:
    host, _, port = client.rpartition(":")
    return (host.strip("[]"), int(port)) if port.isdecimal() and len(port) <= 5 else (client, 0)
