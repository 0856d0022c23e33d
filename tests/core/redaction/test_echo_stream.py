import base64
import json
import urllib.parse
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doorward.core.redaction.echo import EchoGuard
from doorward.core.redaction.echo_stream import EchoStream
from tests.core.redaction.test_echo import AWKWARD, BINARY, CASES, GUARD, PLAIN, _escape_all, _percent_all

NEWER = b"another-secret/0123456789"
TWO = EchoGuard([NEWER])
OVERLAPPING = EchoGuard([b"abcdabcdabcdabcdabcd", b"cdabcdabcdabcdabcdef"])
GUARDS = [GUARD, TWO]


def whole(data: bytes, guards: Sequence[EchoGuard] = GUARDS) -> bytes | None:
    """What the guards make of the whole; None where it would be withheld."""
    for guard in guards:
        cleaned = guard.clean(data, b"[echo]")
        if not cleaned.complete:
            return None
        data = cleaned.data
    return data


def streamed(pieces: Sequence[bytes], guards: Sequence[EchoGuard] = GUARDS) -> tuple[bytes, bool]:
    stream = EchoStream(b"[echo]")
    left = b""
    for piece in pieces:
        cleaned = stream.feed(piece, guards)
        left += cleaned.data
        if not cleaned.complete:
            return left, False
    cleaned = stream.end(guards)
    return left + cleaned.data, cleaned.complete


def assert_the_same(pieces: Sequence[bytes], guards: Sequence[EchoGuard] = GUARDS) -> None:
    expected = whole(b"".join(pieces), guards)
    left, complete = streamed(pieces, guards)
    assert complete == (expected is not None)
    if expected is not None:
        assert left == expected
    assert not any(guard.found(left) for guard in guards)


@pytest.mark.parametrize(("secret", "spell"), CASES)
def test_every_spelling_at_every_offset(secret: bytes, spell: Callable[[bytes], bytes]) -> None:
    echo = spell(secret)
    data = b'{"before": "%41\\u0041\\\\", "echo": "' + echo + b'", "after": 1}'
    expected = whole(data)
    assert expected is not None
    for at in range(len(data) + 1):
        stream = EchoStream(b"[echo]")
        first = stream.feed(data[:at], GUARDS)
        assert first.complete
        assert expected.startswith(first.data)  # so nothing of the secret left while it was not known for one
        second = stream.feed(data[at:], GUARDS)
        assert first.data + second.data + stream.end(GUARDS).data == expected


@pytest.mark.parametrize(("secret", "spell"), CASES)
def test_every_spelling_byte_by_byte(secret: bytes, spell: Callable[[bytes], bytes]) -> None:
    data = b'{"%41\\u0041": "' + spell(secret) + b'"} \\u00' + spell(secret) + b"%2"
    assert_the_same([bytes([byte]) for byte in data])


DEEP: dict[str, Callable[[bytes], bytes]] = {
    "json-in-json": lambda secret: json.dumps(json.dumps(secret.decode())).encode(),
    "escaped-twice": lambda secret: _escape_all(_escape_all(secret)),
    "percent-twice": lambda secret: b"%25".join(_percent_all(secret).split(b"%")),
    "escaped-then-percent": lambda secret: _percent_all(_escape_all(secret)),
    "escaped-three-times": lambda secret: _escape_all(_escape_all(_escape_all(secret))),
}


@pytest.mark.parametrize("spell", DEEP.values(), ids=DEEP)
@pytest.mark.parametrize("secret", [PLAIN, AWKWARD], ids=["plain", "awkward"])
def test_what_cannot_be_cut_out_ends_the_stream_before_any_of_it_left(
    secret: bytes, spell: Callable[[bytes], bytes]
) -> None:
    before = b'{"text": "'
    echo = spell(secret)
    data = before + echo + b'"}'
    if whole(data) is not None:  # a spelling that one layer covers
        assert_the_same([bytes([byte]) for byte in data])
        return
    for size in (1 if len(data) < 1000 else 5, 64, len(data)):
        left, complete = streamed([data[at : at + size] for at in range(0, len(data), size)])
        assert not complete
        assert before.startswith(left.rstrip(b'\\"'))  # quotes and their escapes are no part of the secret


@pytest.mark.parametrize(
    "data",
    [
        b"-abcdabcdabcdabcdabcdef--cdabcdabcdabcdabcdef-",
        b"abcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdef",
        b"abcdabcdabcdabcd" * 5 + b"ab" + b"cdabcdabcdabcdabcdef" + b"x",
    ],
)
def test_secrets_over_each_other(data: bytes) -> None:
    for at in range(len(data) + 1):
        assert_the_same([data[:at], data[at:]], [OVERLAPPING])
    assert_the_same([bytes([byte]) for byte in data], [OVERLAPPING])


def test_an_event_is_not_held_back() -> None:
    stream = EchoStream(b"[echo]")
    for event in (b'data: {"text": "100% \\n \\u00e4 \\"caf\\u00e9\\""}\n\n', b": ping\n\n", b"event: done\r\n\r\n"):
        assert stream.feed(event, GUARDS).data == event
    assert stream.end(GUARDS).data == b""


def test_only_the_beginning_of_a_secret_is_held_back() -> None:
    stream = EchoStream(b"[echo]")
    assert stream.feed(b"a word and " + PLAIN[:5], GUARDS).data == b"a word and "
    assert stream.feed(b"no secret\n", GUARDS).data == PLAIN[:5] + b"no secret\n"
    assert stream.feed(b"end " + PLAIN[:-1], GUARDS).data == b"end "
    assert stream.end(GUARDS).data == PLAIN[:-1]


def test_a_guard_that_joins_in_the_middle_counts_from_then_on() -> None:
    stream = EchoStream(b"[echo]")
    first = stream.feed(NEWER[:10], [GUARD])
    second = stream.feed(b"\n" + NEWER[:10], GUARDS)
    third = stream.feed(NEWER[10:] + PLAIN, GUARDS)
    last = stream.end(GUARDS)
    assert first.data + second.data + third.data + last.data == NEWER[:10] + b"\n[echo][echo]"
    assert (second.hits, third.hits + last.hits) == (0, 2)


def test_without_guards_all_leaves_at_once() -> None:
    stream = EchoStream(b"[echo]")
    assert stream.feed(PLAIN, []).data == PLAIN
    assert stream.end([]).data == b""


def test_memory_is_bounded() -> None:
    stream = EchoStream(b"[echo]")
    guard = EchoGuard([b"abababababababababab"])
    for _ in range(200):  # a chain of secrets over each other has no end
        cleaned = stream.feed(b"ab" * 500, [guard])
        assert len(stream._held) <= (16 << 10) + guard.longest + 1000
        if not cleaned.complete:
            return
    raise AssertionError("it was held for ever")


def test_a_large_body_passes_in_any_pieces() -> None:
    data = bytes(range(256)) * 1024 + PLAIN + b'{"a\\n": "\\u0041"}' * 9000 + base64.b64encode(b"x" + PLAIN)
    assert_the_same([data[at : at + 4096] for at in range(0, len(data), 4096)])


SPELLED = st.sampled_from([PLAIN, AWKWARD, BINARY, NEWER]).flatmap(
    lambda secret: st.sampled_from(
        [
            secret,
            secret.hex().encode(),
            base64.b64encode(b"a" + secret),
            urllib.parse.quote(secret, safe="").encode(),
            _percent_all(secret),
            *([json.dumps(secret.decode()).encode(), _escape_all(secret)] if secret is not BINARY else []),
        ]
    )
)
FRAGMENT = st.tuples(SPELLED, st.integers(0, 200), st.integers(0, 200)).map(
    lambda cut: cut[0][min(cut[1], len(cut[0])) : cut[2]]
)
PART = st.one_of(
    SPELLED, FRAGMENT, st.binary(max_size=9), st.sampled_from([b"\\", b"\\u00", b"%", b"%5", b"\\\\", b"\n"])
)


@given(st.lists(PART, max_size=8).map(b"".join), st.data())
@settings(max_examples=100, deadline=None)
def test_any_chopping_gives_what_the_whole_gives(data: bytes, draw: Any) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=12)))
    pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    assert_the_same(pieces)
