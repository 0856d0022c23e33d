import asyncio
import ssl
from pathlib import Path

import pytest

from tests.ledger.conftest import RunningLedger
from tests.parts.certificates import TestAuthority
from tests.parts.flows import client, connect, flow_for, lead, problem
from tests.parts.gateway import Gateway, get
from tests.parts.policies import policy_for
from tests.parts.provider import Provider
from tests.parts.raw_target import RawTarget


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("unknown.internal", 443),
        ("billing.internal", 8443),
        ("billing.internal", 22),
        ("billing.internal", 53),
        ("billing.internal.", 443),
        ("127.0.0.1", 443),
        ("169.254.169.254", 80),
    ],
)
async def test_a_connect_goes_to_a_target_or_nowhere(gateway: Gateway, host: str, port: int) -> None:
    of = client()
    flow = await connect(gateway, of, host, port=port)
    assert (problem(flow)["status"], problem(flow)["cause"]) == (403, "unknown-host")
    assert "billing.internal:443" in problem(flow)["next"]
    await gateway.entry("request.refused", cause="unknown-host", verb="CONNECT", executed="no")
    plain = flow_for(of)
    await lead(gateway, plain)
    assert problem(plain)["status"] == 407  # and leaves no tunnel behind


async def test_a_host_in_capitals_is_the_same_host(gateway: Gateway) -> None:
    assert (await connect(gateway, client(), "Billing.INTERNAL")).response is None


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
        b"*1\r\n$4\r\nPING\r\n",
        b"\r\nSSH-2.0-x\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x02\x00hello, this is no TLS",
        b"\xff" * 70000,
    ],
    ids=lambda raw: repr(raw[:16]),
)
@pytest.mark.parametrize("inside", [True, False])
async def test_what_is_neither_tls_nor_http_goes_nowhere(
    gateway: Gateway, target: RawTarget, raw: bytes, inside: bool
) -> None:
    agent = await gateway.connect()
    if inside:
        raw_connect = b"CONNECT billing.internal:443 HTTP/1.1\r\nHost: billing.internal:443\r\n%s\r\n"
        assert (await agent.ask(raw_connect % gateway.authorization())).status == 200
    await agent.send(raw)
    agent.writer.write_eof()
    await agent.closed()
    assert target.connections == 0


async def test_clear_text_inside_a_tunnel_is_read_as_http(gateway: Gateway, target: RawTarget) -> None:
    agent = await gateway.connect()
    raw_connect = b"CONNECT billing.internal:80 HTTP/1.1\r\nHost: billing.internal:80\r\n%s\r\n"
    assert (await agent.ask(raw_connect % gateway.authorization())).status == 200
    assert (await agent.ask(get())).status == 200
    assert target.connections == 1


@pytest.mark.parametrize("name", ["other.internal", None, "sub.billing.internal"])
async def test_the_name_in_the_handshake_is_that_of_the_connect(gateway: Gateway, name: str | None) -> None:
    agent = await gateway.connect()
    raw = b"CONNECT billing.internal:443 HTTP/1.1\r\nHost: billing.internal:443\r\n%s\r\n"
    assert (await agent.ask(raw % gateway.authorization())).status == 200
    with pytest.raises((OSError, ssl.SSLError)):
        await agent.start_tls(gateway.root, name, verify=False)
    await gateway.entry("connection.refused", cause="sni-differs")
    assert len(gateway.closed) == 1


async def test_an_address_needs_no_name_where_a_target_lists_it(
    tmp_path: Path, ledger: RunningLedger, provider: Provider, target: RawTarget
) -> None:
    policy = policy_for(target)
    policy["targets"]["billing"]["hosts"] = ["10.1.2.3"]
    async with Gateway(tmp_path, ledger, provider, policy) as gateway:
        agent = await gateway.tunnel("10.1.2.3")  # Python sends no name for an address
        assert (await agent.ask(get(host="10.1.2.3"))).status == 200


async def test_agents_may_speak_tls_to_the_proxy_itself(
    tmp_path: Path, ledger: RunningLedger, provider: Provider, target: RawTarget
) -> None:
    authority = TestAuthority(tmp_path, "proxy")
    cert, key = authority.pair("127.0.0.1")
    tls = {"cert": str(cert), "key": str(key)}
    async with Gateway(tmp_path, ledger, provider, policy_for(target), tls=tls) as gateway:
        clear = await gateway.connect()
        await clear.send(b"CONNECT billing.internal:443 HTTP/1.1\r\n\r\n")
        assert await clear.closed() == b""
        await gateway.entry("connection.refused", cause="tls-required")
        agent = await gateway.connect()
        await agent.start_tls(authority.ca, "127.0.0.1", alpn="h2")
        assert agent.writer.get_extra_info("ssl_object").selected_alpn_protocol() is None
        raw = b"GET http://billing.internal/v1/a HTTP/1.1\r\nHost: billing.internal\r\n%s\r\n"
        assert (await agent.ask(raw % gateway.authorization())).status == 200


async def test_one_or_two_bytes_wait_for_more(gateway: Gateway) -> None:
    agent = await gateway.connect()
    await agent.send(b"GE")
    await asyncio.sleep(0.02)
    raw = b"T http://billing.internal/v1/a HTTP/1.1\r\nHost: billing.internal\r\n%s\r\n"
    assert (await agent.ask(raw % gateway.authorization())).status == 200
