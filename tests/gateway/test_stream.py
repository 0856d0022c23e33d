"""One body on its way, without sockets; over sockets: `mitm/test_stream.py`."""

import time
from typing import Any

import pytest
from mitmproxy import http

from doorward.core.clearing import compile_masks
from doorward.core.policy import MaskRule, Match
from doorward.core.redaction.echo import EchoGuard
from doorward.core.redaction.masks import Replacer, sentinel_for
from doorward.core.redaction.stream import framer_for
from doorward.errors import Withheld
from doorward.gateway.stream import AnswerStream, Copy, may_stream
from tests.parts.flows import answer
from tests.parts.gateway import KEY, SECRET

GUARD = EchoGuard([SECRET.encode()])
REPLACER = Replacer(sentinel_for(KEY), KEY)


def stream(**options: Any) -> AnswerStream:
    given: dict[str, Any] = {
        "guards": lambda: (GUARD,),
        "replacement": b"[echo]",
        "holds_last": False,
        "keep": 10,
    }
    return AnswerStream(200, **(given | options))


def test_pieces_go_on_and_a_copy_stays() -> None:
    made = stream()
    assert (made(b"one "), made(b"two ")) == ([b"one "], [b"two "])
    assert made.copy.has_news.is_set()
    data, pieces = made.copy.take()
    assert data == b"one two "
    assert sum(size for _, size in pieces) == 8
    assert not made.copy.has_news.is_set()
    made(b"3")
    assert (made(b""), made.ended, made.copy.truncated) == ([], True, False)
    assert made.copy.take()[0] == b"3"
    assert made.copy.take() == (b"", [])
    assert made(b"") == []


def test_the_copy_has_a_bound() -> None:
    made = stream()
    assert made(b"0123456789") == [b"0123456789"]
    assert not made.copy.truncated
    assert made.copy.take()[0] == b"0123456789"
    assert made(b"x" * 5) == [b"x" * 5]
    made(b"")
    assert (made.copy.truncated, made.copy.take()) == (True, (b"", []))


def test_pieces_tell_when_how_much_came() -> None:
    copied = Copy(1000)
    copied.begin()
    copied.add(b"ab")
    time.sleep(0.01)
    copied.add(b"c")
    copied.add(b"")
    data, pieces = copied.take()
    assert data == b"abc"
    assert [size for _, size in pieces] == [2, 1]
    assert pieces[0][0] < pieces[1][0] < 5000


def test_the_times_of_one_part_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10**12, 1_000_000))
    monkeypatch.setattr("time.monotonic_ns", lambda: next(clock))
    copied = Copy(5000)
    for _ in range(1000):
        copied.add(b"x")
    data, pieces = copied.take()
    assert len(pieces) == 500
    assert sum(size for _, size in pieces) == len(data) == 1000


def test_an_empty_piece_is_no_end() -> None:
    made = stream()
    assert made(SECRET[:5].encode()) == []  # never b"", which would end a chunked body
    assert made(b"") == [SECRET[:5].encode()]


def test_a_secret_is_replaced_and_counted() -> None:
    made = stream(keep=100)
    assert made(b"a " + SECRET.encode() + b"\n") == [b"a [echo]\n"]
    assert (made.echoes, made.copy.take()[0]) == (1, b"a [echo]\n")


def test_where_nothing_can_take_its_place_a_secret_is_the_end() -> None:
    made = stream(replacement=None)
    with pytest.raises(Withheld) as caught:
        made(b"a " + SECRET.encode() + b"\n")
    assert caught.value.cause == "echo"
    assert (made.echoes, made.copy.take()[0]) == (1, b"")


def test_the_last_byte_waits_for_the_end() -> None:
    made = stream(holds_last=True)
    assert (made(b"."), made(b",;"), made(b":")) == ([], [b".,"], [b";"])
    assert made(b"") == [b":"]


def request(method: str = "GET", version: str = "HTTP/1.1") -> http.Request:
    made = http.Request.make(method, "http://billing.internal/")
    made.http_version = version
    return made


LENGTH = ("Content-Length", "65537")


@pytest.mark.parametrize(
    ("asked", "says", "streams"),
    [
        (request(), answer(None, 200), True),
        (request(version="HTTP/2.0"), answer(None, 200), True),
        (request(), answer(None, 206, LENGTH), True),
        (request(), answer(None, 500, ("Transfer-Encoding", "Chunked")), True),
        (request(), answer(None, 200, ("Content-Encoding", "identity")), True),
        (request(), answer(None, 200, ("Content-Length", "65536")), False),
        (request("HEAD"), answer(None, 200, LENGTH), False),
        (request(version="HTTP/1.0"), answer(None, 200), False),
        (request(), answer(None, 204, LENGTH), False),
        (request(), answer(None, 304, LENGTH), False),
        (request(), answer(None, 103, LENGTH), False),
        (request(), answer(None, 200, ("Content-Encoding", "gzip")), False),
        (request(), answer(None, 200, ("Transfer-Encoding", "gzip, chunked")), False),
    ],
)
def test_what_may_stream(asked: http.Request, says: http.Response, streams: bool) -> None:
    assert may_stream(asked, says) is streams


def masked_events(**options: Any) -> AnswerStream:
    masks = compile_masks([MaskRule("m", Match(), fields=("$.a",))]).answer
    assert masks is not None
    return stream(redactor=framer_for("text/event-stream", masks, REPLACER, 64), keep=1000, **options)


def test_events_are_masked_and_counted() -> None:
    made = masked_events()
    assert made(b'data: {"a": 1}\n') == []  # not complete
    (event,) = made(b"\n")
    assert event == b'data: {"a":"%s"}\n\n' % REPLACER.sentinel.encode()
    assert made.copy.take()[0] == event
    assert [(mask.rule, mask.count) for mask in made.masks] == [("m", 1)]
    assert made(b"") == []


def test_an_event_that_cannot_be_cleared_ends_it_after_those_before() -> None:
    made = masked_events()
    (event,) = made(b'data: {"b": 1}\n\ndata: {"a": \n\n')
    assert b'"b"' in event
    assert made.cut is not None
    with pytest.raises(Withheld):
        made(b'data: {"b": 2}\n\n')


def test_an_event_over_its_limit_ends_it() -> None:
    with pytest.raises(Withheld) as caught:
        masked_events()(b"data: " + b"x" * 100)
    assert caught.value.cause == "event-too-large"


def test_a_secret_in_a_masked_stream_is_found_across_pieces() -> None:
    made = masked_events()
    half = len(SECRET) // 2
    assert made(f'data: {{"b": "{SECRET[:half]}'.encode()) == []
    assert made(f'{SECRET[half:]}"}}\n\n'.encode()) == [b'data: {"b": "[echo]"}\n\n']
    assert made.echoes == 1


def test_the_record_may_hold_less_than_the_agent_gets() -> None:
    masks = compile_masks([MaskRule("m", Match(), fields=("$.a",), apply_to="record")]).record
    assert masks is not None
    redactor = framer_for("application/x-ndjson", masks, REPLACER, 64)
    made = stream(record_redactor=redactor, keep=1000)
    assert made(b'{"a": 1}\n{"a"') == [b'{"a": 1}\n{"a"']
    assert made.copy.take()[0] == b'{"a":"%s"}\n' % REPLACER.sentinel.encode()
    assert made(b": x}\n") == [b": x}\n"]  # the record cannot hold it
    assert (made.copy.take()[0], made.copy.truncated) == (b"", True)
    assert made(b"more\n") == [b"more\n"]
