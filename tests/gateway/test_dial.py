import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import connection
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from tests.ledger.conftest import RunningLedger
from tests.parts.certificates import TestAuthority
from tests.parts.flows import flow_for, lead, problem, run, tunnelled
from tests.parts.gateway import Gateway, get
from tests.parts.policies import policy_for
from tests.parts.provider import Provider
from tests.parts.raw_target import RawTarget


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Answer every question for a name with these addresses."""
    asked: list[str] = []

    async def getaddrinfo(host: str, port: int, **_: object) -> list[Any]:
        asked.append(host)
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port))
            for each in addresses
        ]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo, raising=False)
    return asked


def pointed_at(gateway: Gateway, url: str) -> None:
    target: dict[str, Any] = {"kind": "http", "url": url, "hosts": ["billing.internal"], "plaintext": True}
    policy = {**policy_for(RawTarget()), "targets": {"billing": target}}
    gateway.policy = gateway.read_policy(policy)


NEVER = [
    "169.254.169.254",
    "169.254.1.1",
    "fe80::1",
    "fe80::1%lo",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "100.100.100.200",
    "fd00:ec2::254",
    "168.63.129.16",
    "0.0.0.0",
    "::",
    "::ffff:0.0.0.0",
    "224.0.0.1",
    "ff02::1",
]


@pytest.mark.parametrize("address", NEVER)
async def test_addresses_that_are_never_dialled(
    gateway: Gateway, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pointed_at(gateway, "http://target.internal:8000")
    flow = flow_for(await tunnelled(gateway))
    resolve_to(monkeypatch, "192.0.2.1", address)  # one of several is enough
    sent, _ = await lead(gateway, flow)
    assert sent is None
    refusal = problem(flow)
    assert (refusal["status"], refusal["cause"], refusal["executed"]) == (502, "dial-guard", "no")
    await gateway.entry("request.outcome", cause="dial-guard", executed="no")


@pytest.mark.parametrize(
    ("listening", "name", "ours"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "::ffff:127.0.0.1", True),
        ("::ffff:127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", "::1", False),
        ("0.0.0.0", "127.0.0.1", True),
        ("0.0.0.0", "127.9.9.9", True),
        ("::", "::ffff:127.0.0.1", True),
        ("0.0.0.0", "192.0.2.1", False),
        ("::1", "::1", True),
    ],
)
async def test_our_own_listeners_are_never_dialled(
    gateway: Gateway, listening: str, name: str, ours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pointed_at(gateway, "http://innocent.internal:8000")
    flow = flow_for(await tunnelled(gateway))
    gateway.own.append((listening, 8000))
    resolve_to(monkeypatch, name)
    sent, _ = await lead(gateway, flow)
    assert (sent is None) is ours
    other = flow_for(await tunnelled(gateway))
    gateway.own[:] = [(listening, 8001)]
    assert (await lead(gateway, other))[0] is not None


async def test_the_gateway_is_not_a_target_of_its_own(gateway: Gateway) -> None:
    pointed_at(gateway, f"http://localhost:{gateway.port}")
    answer = await (await gateway.tunnel()).ask(get())
    assert (answer.status, answer.problem["cause"]) == (502, "dial-guard")


async def test_the_address_that_was_checked_is_the_one_that_is_dialled(
    gateway: Gateway, target: RawTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    pointed_at(gateway, f"http://target.internal:{target.port}")
    agent = await gateway.tunnel()
    asked = resolve_to(monkeypatch, "127.0.0.1")
    assert (await agent.ask(get())).status == 200
    resolve_to(monkeypatch, "169.254.169.254")  # a name server that changes its mind
    assert (await agent.ask(get())).status == 200
    assert asked == ["target.internal"]
    assert target.got[0].startswith(b"GET /v1/customers HTTP/1.1\r\nHost: target.internal:")


async def test_a_name_that_nobody_knows(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    pointed_at(gateway, "http://target.internal:8000")
    flow = flow_for(await tunnelled(gateway))
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown, raising=False)
    assert (await lead(gateway, flow))[0] is None
    assert (problem(flow)["status"], problem(flow)["cause"]) == (502, "target-unknown")
    resolve_to(monkeypatch)
    flow = flow_for(flow.client_conn)
    assert (await lead(gateway, flow))[0] is None
    assert problem(flow)["cause"] == "target-unknown"


async def test_no_name_is_looked_up_before_the_intent(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = flow_for(await tunnelled(gateway), path="/v1/secrets/1")
    asked = resolve_to(monkeypatch, "127.0.0.1")
    await lead(gateway, flow)
    assert asked == []


@pytest.mark.parametrize("address", [("192.0.2.1", 443), ("127.0.0.1", 1), None])
async def test_no_other_connection_is_opened(gateway: Gateway, address: tuple[str, int] | None) -> None:
    flow = flow_for(await tunnelled(gateway))
    await lead(gateway, flow)
    server = connection.Server(address=address)
    await _connect(gateway, ServerConnectionHookData(server, flow.client_conn))
    assert server.error
    target = gateway.policy.targets["billing"]
    checked = connection.Server(address=("127.0.0.1", target.port))
    await _connect(gateway, ServerConnectionHookData(checked, flow.client_conn))
    assert checked.error is None
    stranger = connection.Server(address=("127.0.0.1", target.port))
    await _connect(gateway, ServerConnectionHookData(stranger, await tunnelled(gateway)))
    assert stranger.error


async def _connect(gateway: Gateway, opening: ServerConnectionHookData) -> None:
    for call in gateway.chain.hooks["server_connect"]:
        call(opening)


def tls_policy(*targets: tuple[str, str, Path]) -> dict[str, Any]:
    return {
        "targets": {
            name: {"kind": "http", "url": url, "hosts": [f"{name}.internal"], "ca": str(ca)}
            for name, url, ca in targets
        },
        "roles": {"all": [{"paths": ["/**"]}]},
        "bindings": [{"role": "all", "target": name, "groups": ["corp:agents"]} for name, *_ in targets],
    }


async def test_two_targets_at_one_address_each_prove_their_own_name(
    tmp_path: Path, ledger: RunningLedger, provider: Provider
) -> None:
    authority = TestAuthority(tmp_path)
    async with RawTarget(authority.pair("localhost")) as target:
        policy = tls_policy(
            ("right", f"https://localhost:{target.port}", authority.ca),
            ("wrong", f"https://127.0.0.1:{target.port}", authority.ca),
        )
        async with Gateway(tmp_path, ledger, provider, policy) as gateway:
            for _ in range(2):
                agent = await gateway.tunnel("right.internal")
                assert (await agent.ask(get(host="right.internal"))).status == 200
                agent = await gateway.tunnel("wrong.internal")
                answer = await agent.ask(get(host="wrong.internal"))
                assert (answer.status, answer.problem["executed"]) == (502, "no")
            assert len(target.got) == 2


async def test_a_target_that_moves_to_another_name_takes_no_open_connection_along(
    tmp_path: Path, ledger: RunningLedger, provider: Provider
) -> None:
    authority = TestAuthority(tmp_path)
    async with RawTarget(authority.pair("localhost", "127.0.0.1")) as target:
        policy = tls_policy(("right", f"https://localhost:{target.port}", authority.ca))
        async with Gateway(tmp_path, ledger, provider, policy) as gateway:
            agent = await gateway.tunnel("right.internal")
            assert (await agent.ask(get(host="right.internal"))).status == 200
            policy["targets"]["right"]["cookies"] = "pass"  # nothing that TLS proves
            gateway.policy = gateway.read_policy(policy)
            assert (await agent.ask(get(host="right.internal"))).status == 200
            assert target.connections == 1
            policy["targets"]["right"]["url"] = f"https://127.0.0.1:{target.port}"
            gateway.policy = gateway.read_policy(policy)
            assert (await agent.ask(get(host="right.internal"))).status == 200
            assert target.connections == 2


async def test_run_is_complete(gateway: Gateway) -> None:
    flow = flow_for(await tunnelled(gateway))
    await run(gateway, "request", flow)  # without its head it goes nowhere
    assert problem(flow)["executed"] == "no"
