"""Answers that carry what is masked, or the credential, where a mask for JSON bodies does not look."""

import zlib
from typing import Any

import pytest

from doorward.store.rebuild import SEGMENTS
from tests.parts.gateway import SECRET, Agent, Gateway, get
from tests.parts.policies import policy_for
from tests.parts.raw_target import OK, RawTarget
from tests.parts.record import read_bodies

EMAIL = "ann@example.com"


def on_disk(gateway: Gateway) -> bytes:
    """All that the ledger wrote, bodies unpacked."""
    files = [file for file in gateway.ledger.path.rglob("*") if file.is_file()]
    return b"".join([*(file.read_bytes() for file in files), *read_bodies(gateway.ledger.path / SEGMENTS)])


async def head_of(agent: Agent, request: bytes) -> str:
    """The head of an answer as it came."""
    await agent.send(request)
    return (await agent.reader.readuntil(b"\r\n\r\n")).decode("latin-1")


async def test_the_reason_phrase_carries_neither_credential_nor_masked_value(
    gateway: Gateway, target: RawTarget
) -> None:
    target.answer = OK.replace(b"200 OK", f"200 {SECRET} {EMAIL}".encode())
    head = await head_of(await gateway.tunnel(), get())
    assert head.startswith("HTTP/1.1 200 OK\r\n")


async def test_the_length_of_a_head_answer_does_not_tell_how_long_a_masked_value_is(
    gateway: Gateway, target: RawTarget
) -> None:
    target.answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1234\r\n\r\n"
    agent = await gateway.tunnel()
    head = await head_of(agent, get(method="HEAD"))
    assert "1234" not in head
    target.answer = OK
    assert (await agent.ask(get())).status == 200


@pytest.mark.parametrize(
    "name",
    [
        "ETag",
        "Digest",
        "Repr-Digest",
        "Unencoded-Digest",
        "Content-MD5",
        "X-MD5",
        "X-Checksum-Sha256",
        "X-Content-SHA256",
        "X-Bz-Content-Sha1",
        "X-Amz-Checksum-Crc32",
        "X-Goog-Hash",
        "X-Oss-Hash-Crc64ecma",
        "Content-Range",
    ],
)
async def test_a_fingerprint_of_the_original_lets_nobody_check_a_guess(
    gateway: Gateway, target: RawTarget, name: str
) -> None:
    target.answer = OK.replace(b"Content-Length", name.encode() + b": fingerprint\r\nContent-Length")
    assert "fingerprint" not in await head_of(await gateway.tunnel(), get())


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_condition_on_a_read_lets_nobody_check_a_guess(
    gateway: Gateway, target: RawTarget, method: str
) -> None:
    conditions = [f'{name}: "guess"' for name in ("If-Match", "If-None-Match", "If-Range")]
    await (await gateway.tunnel()).ask(get("/v1/a", *conditions, "Range: bytes=1-2", method=method))
    assert b"guess" not in target.got[0]
    assert b"bytes" not in target.got[0]


@pytest.mark.parametrize("name", ["If-Match", "If-None-Match", "If"])
async def test_a_condition_on_a_write_lets_nobody_check_a_guess(gateway: Gateway, target: RawTarget, name: str) -> None:
    answer = await (await gateway.tunnel()).ask(get("/v1/a", f'{name}: "guess"', method="PATCH"))
    assert (answer.status, answer.problem["cause"]) == (403, "condition")
    assert target.got == []


async def test_a_condition_that_guards_a_write_is_not_lost(gateway: Gateway, target: RawTarget) -> None:
    """A PUT that may only create must not overwrite because a header was dropped on the way."""
    await (await gateway.tunnel()).ask(get("/v1/a", "If-None-Match: *", "If-Unmodified-Since: x", method="PATCH"))
    assert b"if-none-match: *\r\n" in target.got[0]
    assert b"if-unmodified-since: x\r\n" in target.got[0]


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("framing", [b"", b"Content-Length: 54\r\n"], ids=["no-length", "length"])
async def test_what_follows_an_answer_without_a_body_is_not_the_next_answer(
    gateway: Gateway, target: RawTarget, status: int, framing: bytes
) -> None:
    forged = f"HTTP/1.1 200 OK\r\nContent-Length: {len(EMAIL)}\r\n\r\n{EMAIL}".encode()
    target.answer = b"HTTP/1.1 %d X\r\n%s\r\n%s" % (status, framing, forged)
    agent = await gateway.tunnel()
    assert (await agent.ask(get())).status == status
    target.answer = OK
    answer = await agent.ask(get())
    assert answer.body == b'{"ok": true}'


CONFUSED: dict[str, tuple[str, bytes]] = {
    "text": ("text/plain", b'{"email": "%s"}'),
    "no-type": ("", b'{"email": "%s"}'),
    "two-documents": ("application/x-ndjson", b'{"a": 1}\n{"email": "%s"}\n'),
    "events": ("text/event-stream", b'data: {"em\ndata: ail": "%s"}\n\n'),
    "multipart": (
        "multipart/mixed; boundary=b",
        b'--b\r\nContent-Type: application/json\r\n\r\n{"email": "%s"}\r\n--b--',
    ),
    "bom": ("application/json", b'\xef\xbb\xbf{"email": "%s"}'),
    "html": ("text/html", b"<p>%s</p>"),
    "string": ("text/plain", b'"%s"'),
    "comment": ("application/json", b'{"email" /* */: "%s"}'),
    "escaped": ("application/json", b'{"\\u0065mail": "%s"}'),
    "twice": ("application/json", b'{"email": "%s", "email": 1}'),
    "charset": ("application/json; charset=utf-7", b'{"+AGU-mail": "%s"}'),
    "garbage-behind": ("application/json", b'{"a": 1} {"email": "%s"}'),
    "json-p": ("application/javascript", b'f({"email": "%s"})'),
}


@pytest.mark.parametrize("kind", CONFUSED)
async def test_a_confused_media_type_does_not_lead_round_a_mask(gateway: Gateway, target: RawTarget, kind: str) -> None:
    media, body = CONFUSED[kind]
    body = body % EMAIL.encode()
    line = f"Content-Type: {media}\r\n" if media else ""
    target.answer = f"HTTP/1.1 200 OK\r\n{line}Content-Length: {len(body)}\r\n\r\n".encode() + body
    answer = await (await gateway.tunnel()).ask(get())
    assert EMAIL.encode() not in answer.body
    assert EMAIL.encode() not in on_disk(gateway)


@pytest.mark.parametrize("masked", [True, False])
async def test_an_answer_in_bare_deflate_is_not_guessed(gateway: Gateway, target: RawTarget, masked: bool) -> None:
    if not masked:
        policy = policy_for(target)
        del policy["masks"]
        gateway.policy = gateway.read_policy(policy)
    raw = zlib.compress(b'{"email": "%s"}' % EMAIL.encode(), wbits=-15)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nContent-Length: {len(raw)}\r\n\r\n"
    target.answer = head.encode() + raw
    answer = await (await gateway.tunnel()).ask(get())
    assert (answer.status, answer.problem["cause"]) == (502, "content-encoding")


ECHOES: dict[str, Any] = {
    "location": "Location: https://x/?t={secret}",
    "cookie": "Set-Cookie: t={secret}",
    "link": 'Link: <https://x/{secret}>; rel="next"',
    "name": "X-{secret}: a",
    "type": "Content-Type: application/json; x={secret}",
    "coding": "Content-Language: {secret}",
    "authenticate": 'WWW-Authenticate: Bearer realm="{secret}"',
}


@pytest.mark.parametrize("kind", ECHOES)
@pytest.mark.parametrize("status", [200, 302, 401, 500])
async def test_no_header_of_any_status_echoes_the_credential(
    gateway: Gateway, target: RawTarget, kind: str, status: int
) -> None:
    line = ECHOES[kind].format(secret=SECRET)
    target.answer = f"HTTP/1.1 {status} X\r\n{line}\r\nContent-Length: 0\r\n\r\n".encode()
    assert SECRET not in await head_of(await gateway.tunnel(), get())
    assert SECRET.encode() not in on_disk(gateway)
