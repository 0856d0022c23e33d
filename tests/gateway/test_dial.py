"""Where the gateway dials: the address that was checked, and never a place nobody meant."""

import asyncio
import ipaddress
import socket
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import connection
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from doorward.gateway import dial
from doorward.gateway.dial import Dial
from doorward.gateway.exchange import Exchanges
from tests.ledger.conftest import RunningLedger
from tests.parts.flows import client, flow_for, lead, problem, tunnelled
from tests.parts.gateway import Gateway, get
from tests.parts.policies import policy_for
from tests.parts.provider import Provider
from tests.parts.raw_target import RawTarget


class Names:
    """The resolver, which is the world: answers what the test says for a name."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.addresses: list[str] = []
        self.error: OSError | None = None

    async def look_up(self, _: Any, host: str, port: int, **__: Any) -> list[Any]:
        self.asked.append(host)
        if self.error is not None:
            raise self.error
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.addresses]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    made = Names()
    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", lambda *given, **named: made.look_up(*given, **named))
    return made


def named(gateway: Gateway, target: RawTarget, host: str = "target.test", **options: Any) -> None:
    policy = policy_for(target)
    policy["targets"]["billing"] |= {"url": f"http://{host}:{target.port}", "plaintext": True} | options
    del policy["targets"]["billing"]["credential"]
    gateway.policy = gateway.read_policy(policy)


NEVER = [
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "fe80::1%1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",  # NAT64 of 169.254.169.254
    "2002:a9fe:a9fe::1",  # 6to4 of the same
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fd00:ec2::254",
    "0.0.0.0",
    "::",
    "::ffff:0.0.0.0",
    "224.0.0.1",
    "ff02::1",
]


@pytest.mark.parametrize("address", NEVER)
async def test_addresses_that_are_never_dialled(
    gateway: Gateway, target: RawTarget, names: Names, address: str
) -> None:
    named(gateway, target)
    names.addresses = ["127.0.0.1", address]  # one bad among the good is enough
    sent, exchange = await lead(gateway, flow := flow_for(await tunnelled(gateway)))
    assert sent is None
    refusal = problem(flow)
    assert (refusal["status"], refusal["cause"], refusal["executed"]) == (502, "dial-guard", "no")
    entry = await gateway.entry("request.outcome", request=exchange.id)
    assert (entry.fields["cause"], entry.fields["executed"]) == ("dial-guard", "no")


@pytest.mark.parametrize("host", ["100.100.100.200", "[fd00:ec2::254]", "[64:ff9b::a9fe:a9fe]"])
async def test_a_target_that_is_such_an_address_by_itself(gateway: Gateway, target: RawTarget, host: str) -> None:
    named(gateway, target, host)
    await lead(gateway, flow := flow_for(await tunnelled(gateway)))
    assert problem(flow)["cause"] == "dial-guard"


LISTENERS = {  # where we listen, what the name leads to, refused
    "loopback": ("127.0.0.1", "127.0.0.1", True),
    "mapped": ("127.0.0.1", "::ffff:127.0.0.1", True),
    "mapped listener": ("::ffff:127.0.0.1", "127.0.0.1", True),
    "IPv6": ("::1", "::1", True),
    "all, by loopback": ("0.0.0.0", "127.0.0.1", True),
    "all, by another loopback": ("0.0.0.0", "127.0.0.9", True),
    "all of IPv6, by loopback": ("::", "127.0.0.1", True),
    "another address of this machine": ("127.0.0.2", "127.0.0.1", False),
    "all, by a stranger": ("0.0.0.0", "192.0.2.1", False),
}


@pytest.mark.parametrize("kind", LISTENERS)
async def test_our_own_listeners_are_never_dialled(
    gateway: Gateway, target: RawTarget, names: Names, kind: str
) -> None:
    ours, address, refused = LISTENERS[kind]
    named(gateway, target)
    gateway.own.append((ours, target.port))
    names.addresses = [address]
    flow = flow_for(await tunnelled(gateway))
    for hook in ("requestheaders", "request"):
        for call in gateway.chain.hooks[hook]:
            await call(flow)
    if refused:
        assert problem(flow)["cause"] == "dial-guard"
    else:
        assert flow.response is None
        assert flow.request.host == address


async def test_the_gateways_own_listener_under_a_name(gateway: Gateway, target: RawTarget, names: Names) -> None:
    named(gateway, target)
    policy = policy_for(target)
    policy["targets"]["billing"]["url"] = f"http://localhost:{gateway.port}"
    gateway.policy = gateway.read_policy(policy)
    names.addresses = ["127.0.0.1"]
    answer = await (await gateway.tunnel()).ask(get())
    assert (answer.status, answer.problem["cause"]) == (502, "dial-guard")


async def test_the_address_that_was_checked_is_the_one_that_is_dialled(
    gateway: Gateway, target: RawTarget, names: Names
) -> None:
    named(gateway, target)
    names.addresses = ["127.0.0.1"]
    agent = await gateway.tunnel()
    assert (await agent.ask(get())).status == 200
    names.addresses = ["169.254.169.254"]  # the second answer of a rebinding name server
    assert (await agent.ask(get())).status == 200
    assert target.connections == 1
    assert f"Host: target.test:{target.port}".encode() in target.got[1]


async def test_names_are_asked_again_after_a_while(
    gateway: Gateway, target: RawTarget, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    named(gateway, target)
    names.addresses = ["127.0.0.1"]
    agent = await gateway.tunnel()
    for _ in range(3):
        assert (await agent.ask(get())).status == 200
    assert names.asked.count("target.test") == 1
    monkeypatch.setattr(dial, "_REMEMBERED_S", 0.0)
    names.addresses = ["169.254.169.254"]
    assert (await agent.ask(get())).problem["cause"] == "dial-guard"


async def test_a_name_is_looked_up_only_after_the_intent(gateway: Gateway, target: RawTarget, names: Names) -> None:
    named(gateway, target)
    await lead(gateway, flow_for(await tunnelled(gateway), path="/v1/secrets/x"))
    assert names.asked == []


@pytest.mark.parametrize("error", [socket.gaierror(-2, "unknown"), None], ids=["unknown", "no address"])
async def test_a_name_that_leads_nowhere(
    gateway: Gateway, target: RawTarget, names: Names, error: OSError | None
) -> None:
    named(gateway, target)
    names.error = error
    answer = await (await gateway.tunnel()).ask(get())
    assert (answer.status, answer.problem["cause"]) == (502, "target-unknown")
    await gateway.entry("request.outcome", cause="target-unknown", executed="no")


@pytest.mark.parametrize("address", [None, ("127.0.0.1", 9), ("169.254.169.254", 80)])
def test_a_socket_is_opened_to_nothing_else(address: tuple[str, int] | None) -> None:
    step = Dial(Exchanges(), list)
    opening = ServerConnectionHookData(server=connection.Server(address=address), client=client())
    step.server_connect(opening)
    assert opening.server.error


async def test_what_one_connection_checked_opens_nothing_for_another(
    tmp_path: Path, ledger: RunningLedger, provider: Provider, target: RawTarget
) -> None:
    async with Gateway(tmp_path, ledger, provider, policy_for(target)) as gateway:
        of = await tunnelled(gateway)
        sent, _ = await lead(gateway, flow_for(of))
        assert sent is not None
        (look,) = gateway.chain.hooks["server_connect"]
        at = ("127.0.0.1", target.port)
        own = ServerConnectionHookData(server=connection.Server(address=at), client=of)
        look(own)
        assert own.server.error is None
        other = ServerConnectionHookData(server=connection.Server(address=at), client=client())
        look(other)
        assert other.server.error


def test_the_unmapped_address_of_an_ordinary_one_is_itself() -> None:
    for text in ("192.0.2.1", "2001:db8::1", "::1"):
        assert dial._unmapped(ipaddress.ip_address(text)) == ipaddress.ip_address(text)
