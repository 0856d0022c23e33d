"""Links to targets: verified, and kept only where the next one may have them."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from doorward.gateway.mitm import upstream as subject
from doorward.gateway.mitm.upstream import Link, Upstream
from doorward.gateway.route import Route
from doorward.private_files import file_mark
from tests.parts.certificates import TestAuthority
from tests.parts.raw_target import OK, RawTarget

ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def authority(tmp_path: Path) -> TestAuthority:
    return TestAuthority(tmp_path)


@pytest.fixture
async def secure(authority: TestAuthority) -> AsyncIterator[RawTarget]:
    async with RawTarget(authority.pair("a.test")) as running:
        yield running


@pytest.fixture
async def links() -> AsyncIterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.close()
    await asyncio.sleep(0)  # for the sockets


def route_to(target: RawTarget, ca: Path | None = None, host: str = "a.test") -> Route:
    return Route(
        target="billing",
        address="127.0.0.1",
        port=target.port,
        host=host,
        is_tls=ca is not None,
        ca=str(ca) if ca else None,
        trust=file_mark(ca) if ca else None,
        credential=None,
        generation=None,
        principal="corp:agent-7",
    )


async def served(link: Link) -> None:
    link.writer.write(ASK)
    async with asyncio.timeout(5):
        assert await link.reader.readexactly(len(OK)) == OK


async def test_the_target_proves_the_name_of_the_route(
    links: Upstream, secure: RawTarget, authority: TestAuthority
) -> None:
    link = await links.open(route_to(secure, authority.ca), http2=False)
    await served(link)
    assert secure.server_name == "a.test"
    assert link.alpn == b""
    link.drop()
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        await links.open(route_to(secure, authority.ca, "b.test"), http2=False)


async def test_the_target_proves_it_under_its_own_authority(
    links: Upstream, secure: RawTarget, authority: TestAuthority, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = TestAuthority(tmp_path / "other")
    with pytest.raises(ssl.SSLCertVerificationError):
        await links.open(route_to(secure, other.ca), http2=False)
    with pytest.raises(OSError, match="No such file"):
        await links.open(route_to(secure, tmp_path / "gone.pem"), http2=False)


async def test_a_link_that_waits_is_taken_by_its_own_route_alone(links: Upstream, target: RawTarget) -> None:
    route = route_to(target)
    link = await links.open(route, http2=False)
    await served(link)
    links.keep(route, link)
    stranger = await links.open(replace(route, principal="corp:agent-8"), http2=False)
    assert stranger is not link
    stranger.drop()
    assert await links.open(route, http2=False) is link
    await served(link)
    link.drop()
    assert target.connections == 2


@pytest.mark.parametrize("said", [b"HTTP/1.1 200 OK\r\n", b"", None], ids=["a byte", "an end", "a reset"])
async def test_a_link_on_which_something_came_goes_to_nobody(
    links: Upstream, target: RawTarget, said: bytes | None
) -> None:
    route = route_to(target)
    link = await links.open(route, http2=False)
    await served(link)
    links.keep(route, link)
    if said is None:
        target.writers[0].transport.abort()
    elif said:
        target.writers[0].write(said)
    else:
        target.writers[0].close()
    for _ in range(100):
        if not link.is_usable():
            break
        await asyncio.sleep(0.01)
    other = await links.open(route, http2=False)
    assert other is not link
    assert link.writer.is_closing()
    other.drop()


async def test_a_link_with_unread_bytes_is_not_kept(links: Upstream, target: RawTarget) -> None:
    target.answer = OK + b"HTTP/1.1 200 OK\r\n"
    route = route_to(target)
    link = await links.open(route, http2=False)
    await served(link)
    links.keep(route, link)
    assert link.writer.is_closing()


async def test_an_authority_that_changed_vouches_for_no_link_of_before(
    links: Upstream, secure: RawTarget, authority: TestAuthority
) -> None:
    route = route_to(secure, authority.ca)
    link = await links.open(route, http2=False)
    links.keep(route, link)
    authority.ca.write_bytes(authority.ca.read_bytes() + b"\n")
    other = await links.open(route_to(secure, authority.ca), http2=False)
    assert other is not link
    other.drop()


async def test_links_wait_for_a_while(links: Upstream, target: RawTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "IDLE_S", 0.01)
    route = route_to(target)
    link = await links.open(route, http2=False)
    links.keep(route, link)
    async with asyncio.timeout(5):
        assert await link.reader.read() == b""
    assert link.writer.is_closing()


async def test_few_of_a_route_and_few_in_all_wait(
    links: Upstream, target: RawTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "_MOST", 3)
    monkeypatch.setattr(subject, "_MOST_OF_A_ROUTE", 2)
    route = route_to(target)
    others = [replace(route, principal=f"corp:agent-{number}") for number in range(2)]
    opened = [await links.open(each, http2=False) for each in (route, route, route, *others)]
    for each, link in zip((route, route, route, *others), opened, strict=True):
        links.keep(each, link)
    assert [link.writer.is_closing() for link in opened] == [True, False, True, False, False]


async def test_what_waits_for_one_principal_can_be_forgotten(links: Upstream, target: RawTarget) -> None:
    route = route_to(target)
    other = replace(route, principal="corp:agent-8")
    mine, theirs = await links.open(route, http2=False), await links.open(other, http2=False)
    links.keep(route, mine)
    links.keep(other, theirs)
    links.forget("corp:agent-7")
    assert mine.writer.is_closing()
    assert await links.open(other, http2=False) is theirs
    theirs.drop()


async def test_nothing_is_kept_after_the_end(links: Upstream, target: RawTarget) -> None:
    route = route_to(target)
    first, second = await links.open(route, http2=False), await links.open(route, http2=False)
    links.keep(route, first)
    links.close()
    links.keep(route, second)
    assert first.writer.is_closing()
    assert second.writer.is_closing()


def test_what_is_leant_on_in_asyncio_is_there() -> None:
    reader = subject.Reader(loop=asyncio.new_event_loop())
    assert reader.is_quiet()
    reader.feed_data(b"x")
    assert not reader.is_quiet()
    reader = subject.Reader(loop=reader._loop)  # type: ignore[attr-defined]
    reader.feed_eof()
    assert not reader.is_quiet()
    reader._loop.close()  # type: ignore[attr-defined]
