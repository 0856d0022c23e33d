"""Targets that give the credential back, in whatever spelling, place or framing."""

import base64
import gzip
import json
import urllib.parse
from collections.abc import Callable

import pytest

from tests.attack.test_answers import on_disk
from tests.parts.gateway import SECRET, Gateway, get
from tests.parts.policies import policy_for
from tests.parts.raw_target import RawTarget

PLAIN = SECRET.encode()


def wrapped(end: bytes) -> bytes:
    encoded = base64.b64encode(b"-" * 40 + PLAIN + b"-" * 40)
    return end.join(encoded[at : at + 64] for at in range(0, len(encoded), 64))


ONE_LINE: dict[str, bytes] = {
    "raw": PLAIN,
    "bearer": b"Bearer " + PLAIN,
    "json": b"".join(b"\\u%04x" % byte for byte in PLAIN),
    "json-in-json": json.dumps(json.dumps("".join(f"\\u{byte:04x}" for byte in PLAIN))).encode(),
    "percent": b"".join(b"%%%02X" % byte for byte in PLAIN),
    "percent-twice": urllib.parse.quote("".join(f"%{byte:02X}" for byte in PLAIN)).encode(),
    "hex": PLAIN.hex().encode(),
    "hex-upper": PLAIN.hex().upper().encode(),
    "base64": base64.b64encode(PLAIN),
    "base64-1": base64.b64encode(b"a" + PLAIN + b"b"),
    "base64-2": base64.b64encode(b"ab" + PLAIN),
    "base64-of-basic": base64.b64encode(b"user:" + PLAIN),
    "base64-url": base64.urlsafe_b64encode(b"\xff\xfe" + PLAIN),
    "base32": base64.b32encode(b"abc" + PLAIN),
    "html": b"".join(b"&#%d;" % byte for byte in PLAIN),
    "html-hex": b"".join(b"&#x%x;" % byte for byte in PLAIN),
}
IN_BODIES = ONE_LINE | {
    "utf-16-le": SECRET.encode("utf-16"),
    "utf-16-be": SECRET.encode("utf-16-be"),
    "wrapped": wrapped(b"\n"),
    "wrapped-crlf": wrapped(b"\r\n"),
    "wrapped-json": wrapped(b"\\n"),
    "binary": b"\x00\xff\x80" + PLAIN + b"\x81",
}


@pytest.fixture
def unmasked(gateway: Gateway, target: RawTarget) -> Gateway:
    """Where no mask applies, so that bodies of any kind pass."""
    policy = policy_for(target)
    del policy["masks"]
    gateway.policy = gateway.read_policy(policy)
    return gateway


def answer(body: bytes, *lines: str) -> bytes:
    head = ["HTTP/1.1 200 OK", "Content-Type: application/octet-stream", f"Content-Length: {len(body)}", *lines]
    return "\r\n".join([*head, "", ""]).encode() + body


@pytest.mark.parametrize("kind", IN_BODIES)
@pytest.mark.parametrize("coding", ["identity", "gzip"])
async def test_a_body_gives_no_spelling_of_the_credential_away(
    unmasked: Gateway, target: RawTarget, kind: str, coding: str
) -> None:
    body = b"before " + IN_BODIES[kind] + b" after"
    packed = gzip.compress(body) if coding == "gzip" else body
    target.answer = answer(packed, f"Content-Encoding: {coding}")
    got = await (await unmasked.tunnel()).ask(get())
    assert IN_BODIES[kind] not in got.body
    if got.status == 200:
        assert got.body.startswith(b"before")
        assert b"doorward-echo-removed" in got.body
        await unmasked.entry("request.outcome", echo=1, executed="yes")
    else:
        assert got.problem["cause"] == "echo"
        await unmasked.entry("request.outcome", cause="echo", executed="yes")
    assert IN_BODIES[kind] not in on_disk(unmasked)


@pytest.mark.parametrize("kind", ONE_LINE)
async def test_a_header_gives_no_spelling_of_the_credential_away(
    unmasked: Gateway, target: RawTarget, kind: str
) -> None:
    target.answer = answer(b"", f"X-Echo: {ONE_LINE[kind].decode()}")
    got = await (await unmasked.tunnel()).ask(get())
    assert ONE_LINE[kind].decode() not in str(got.headers)
    assert ONE_LINE[kind] not in on_disk(unmasked)


FRAMES: dict[str, Callable[[bytes], bytes]] = {
    "chunks": lambda raw: b"".join(b"1\r\n%c\r\n" % byte for byte in raw) + b"0\r\n\r\n",
    "chunk-extension": lambda raw: b"%x;x=%s\r\n%s\r\n0\r\n\r\n" % (len(b"{}"), raw, b"{}"),
    "trailer": lambda raw: b"2\r\n{}\r\n0\r\nX-Echo: %s\r\n\r\n" % raw,
}


@pytest.mark.parametrize("kind", FRAMES)
async def test_no_framing_carries_the_credential(unmasked: Gateway, target: RawTarget, kind: str) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    target.answer = head + FRAMES[kind](PLAIN)
    target.then_close = True
    got = await (await unmasked.tunnel()).ask(get())
    assert SECRET not in str(got)
    assert PLAIN not in on_disk(unmasked)


async def test_the_password_of_basic_is_looked_for_as_well(unmasked: Gateway, target: RawTarget) -> None:
    """What the operator stores is base64 of user and password; what a target echoes is what it says."""
    password = b"p4ssw0rd-of-the-r0bot"
    unmasked.credential.secret = base64.b64encode(b"robot:" + password).decode()
    target.answer = answer(b"you are robot with " + password)
    got = await (await unmasked.tunnel()).ask(get())
    assert password not in got.body
    assert password not in on_disk(unmasked)


async def test_interim_answers_carry_no_credential(unmasked: Gateway, target: RawTarget) -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: <%s>\r\n\r\n" % PLAIN
    target.answer = hint * 3 + b"HTTP/1.1 100 Continue\r\nX: %s\r\n\r\n" % PLAIN + answer(b"{}")
    got = await (await unmasked.tunnel()).ask(get())
    assert (got.status, got.body) == (200, b"{}")
    assert SECRET not in str(got)
