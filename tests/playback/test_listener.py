"""A replay in this process: what a client gets, and that each task of it ends with it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from doorward.core.recorded import RecordedFlow
from doorward.pki.files import ROOT_FILE, create_root, ensure_intermediate
from doorward.playback.listener import Replaying, serve_replay
from doorward.supervisor import bind_listener
from tests.core.test_replaying import keys, named


@asynccontextmanager
async def replaying(ca: Path, *flows: RecordedFlow) -> AsyncIterator[Replaying]:
    async def read() -> AsyncIterator[RecordedFlow]:
        for flow in flows:
            yield flow

    create_root(ca, datetime.now(UTC))
    ensure_intermediate(ca, ["billing.internal"], datetime.now(UTC))
    ready: asyncio.Future[Replaying] = asyncio.get_running_loop().create_future()
    with bind_listener(("127.0.0.1", 0)) as bound:
        serving = asyncio.create_task(
            serve_replay(bound, read(), keys(), ca=ca, request_bytes=1000, on_ready=ready.set_result)
        )
        try:
            async with asyncio.timeout(30):
                yield await ready
        finally:
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving


async def test_answers_over_tls_and_in_clear_and_an_end_with_connections_open(tmp_path: Path) -> None:
    flows = (named("a"), named("b", answered=None))
    async with replaying(tmp_path, *flows) as running:
        assert (running.answers, running.left_out) == (1, 1)
        trust = ssl.create_default_context(cafile=str(tmp_path / ROOT_FILE))
        async with httpx.AsyncClient(proxy=running.proxy, verify=trust, trust_env=False, timeout=20) as agent:
            for url in ("https://billing.internal/v1/a", "http://billing.internal/v1/a"):
                answer = await agent.post(url)
                assert (answer.status_code, answer.headers["doorward-request"]) == (200, "a")
                assert answer.json() == {"email": "doorward-masked-0"}
            assert (await agent.post("https://billing.internal/v1/b")).json()["cause"] == "not-recorded"
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


@pytest.mark.parametrize("sent", [b"", b"Basic \xff", b"\xed\xa0\x80", b"Basic cmVwbGF5Og=="])
@pytest.mark.parametrize("tunnel", [True, False])
async def test_an_attack_with_bytes_that_are_no_text_gets_in_nowhere(tmp_path: Path, sent: bytes, tunnel: bool) -> None:
    """mitmproxy goes on after a hook that raised, so a look at the password must not raise."""
    async with replaying(tmp_path, named("a")) as running:
        proxy = httpx.URL(running.proxy)
        assert proxy.port is not None
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
        what = b"CONNECT billing.internal:80" if tunnel else b"POST http://billing.internal/v1/a"
        writer.write(what + b" HTTP/1.1\r\nHost: billing.internal\r\nContent-Length: 0\r\n")
        writer.write((b"Proxy-Authorization: " + sent + b"\r\n" if sent else b"") + b"\r\n")
        async with asyncio.timeout(20):
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 407")
        writer.close()
