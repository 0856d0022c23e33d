"""TLS on both sides over real sockets: whom the target must prove to be, and what agents are shown."""

import asyncio
import shutil
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from doorward.gateway.mitm.tls import Certificates
from doorward.pki.files import CA_FILE, ensure_intermediate
from tests.ledger.conftest import RunningLedger
from tests.parts.certificates import TestAuthority
from tests.parts.gateway import Agent, Gateway, get
from tests.parts.http2 import Http2Agent
from tests.parts.policies import policy_for
from tests.parts.provider import Provider
from tests.parts.raw_target import RawTarget


@pytest.fixture
def authority(tmp_path: Path) -> TestAuthority:
    return TestAuthority(tmp_path)


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name of the tests is this machine; the resolver is the world, not ours."""
    real = asyncio.BaseEventLoop.getaddrinfo

    async def look_up(loop: Any, host: str, port: int, **options: Any) -> Any:
        return await real(loop, "127.0.0.1" if host.endswith(".test") else host, port, **options)

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", look_up)


def policy_of(target: RawTarget, host: str, ca: Path | None, **more: Any) -> dict[str, Any]:
    policy = policy_for(target, **more)
    policy["targets"]["billing"] |= {"url": f"https://{host}:{target.port}"} | ({"ca": str(ca)} if ca else {})
    return policy


@pytest.mark.parametrize("version", ["http/1.1", "h2"])
@pytest.mark.parametrize("host", ["a.test", "127.0.0.1"])
async def test_a_target_that_proves_its_own_name(
    tmp_path: Path, ledger: RunningLedger, provider: Provider, authority: TestAuthority, host: str, version: str
) -> None:
    async with (
        RawTarget(authority.pair(host)) as target,
        Gateway(tmp_path, ledger, provider, policy_of(target, host, authority.ca)) as gateway,
    ):
        if version == "h2":  # the target here speaks HTTP/1.1 alone
            answer = await (await Http2Agent.tunnel(gateway)).ask()
        else:
            answer = await (await gateway.tunnel()).ask(get())
        assert answer.status == 200
        assert target.server_name == (None if host == "127.0.0.1" else host)  # never what the agent said
        assert f"\r\nHost: {host}:{target.port}\r\n".encode() in target.got[0]


IMPOSTORS: dict[str, tuple[str, str, str]] = {  # what the target is called, what it shows, by whom
    "another name": ("a.test", "b.test", "right"),
    "the agent's name for it": ("a.test", "billing.internal", "right"),
    "a name above": ("a.test", "test", "right"),
    "part of a label": ("aa.test", "a*.test", "right"),
    "another address": ("127.0.0.1", "127.0.0.2", "right"),
    "a name for an address": ("127.0.0.1", "localhost", "right"),
    "another authority": ("a.test", "a.test", "wrong"),
    "the system's store alone": ("a.test", "a.test", "none"),
}


@pytest.mark.parametrize("kind", IMPOSTORS)
async def test_a_target_that_is_another(
    tmp_path: Path, ledger: RunningLedger, provider: Provider, authority: TestAuthority, kind: str
) -> None:
    host, shown, by = IMPOSTORS[kind]
    ca = {"right": authority.ca, "wrong": TestAuthority(tmp_path, "others").ca, "none": None}[by]
    async with (
        RawTarget(authority.pair(shown)) as target,
        Gateway(tmp_path, ledger, provider, policy_of(target, host, ca)) as gateway,
    ):
        answer = await (await gateway.tunnel()).ask(get())
        assert answer.status == 502
        assert answer.problem["executed"] == "no"
        assert target.got == []
        entry = await gateway.entry("request.outcome", request=answer.problem["request"])
        assert (entry.fields["executed"], entry.fields["status"]) == ("no", 502)
        assert entry.fields["cause"] == answer.problem["cause"] == "target-unreachable"


async def test_a_ca_that_is_replaced_counts_at_the_next_connection(
    tmp_path: Path, ledger: RunningLedger, provider: Provider, authority: TestAuthority
) -> None:
    ca = tmp_path / "ca.pem"
    shutil.copy(authority.ca, ca)
    async with (
        RawTarget(authority.pair("a.test")) as target,
        Gateway(tmp_path, ledger, provider, policy_of(target, "a.test", ca)) as gateway,
    ):
        assert (await (await gateway.tunnel()).ask(get())).status == 200
        shutil.copy(TestAuthority(tmp_path, "others").ca, ca)
        assert (await (await gateway.tunnel()).ask(get())).status == 502
        ca.unlink()
        answer = await (await gateway.tunnel()).ask(get())
        assert (answer.status, answer.problem["executed"]) == (502, "no")
        shutil.copy(authority.ca, ca)
        assert (await (await gateway.tunnel()).ask(get())).status == 200


async def test_two_targets_on_one_address_each_prove_their_own_name(
    tmp_path: Path, ledger: RunningLedger, provider: Provider, authority: TestAuthority
) -> None:
    async with RawTarget(authority.pair("a.test")) as target:
        policy = policy_of(target, "a.test", authority.ca)
        policy["targets"]["other"] = policy["targets"]["billing"] | {
            "url": f"https://b.test:{target.port}",
            "hosts": ["other.internal"],
        }
        policy["bindings"].append({"role": "reader", "target": "other", "groups": ["corp:agents"]})
        async with Gateway(tmp_path, ledger, provider, policy) as gateway:
            good = await gateway.tunnel()
            assert (await good.ask(get())).status == 200
            bad = await gateway.tunnel("other.internal")
            answer = await bad.ask(get(host="other.internal"))
            assert (answer.status, answer.problem["executed"]) == (502, "no")
            assert (await good.ask(get())).status == 200
            assert len(target.got) == 2


async def test_a_connection_that_was_verified_for_one_name_is_not_used_for_another(
    tmp_path: Path, ledger: RunningLedger, provider: Provider, authority: TestAuthority
) -> None:
    async with (
        RawTarget(authority.pair("a.test")) as target,
        Gateway(tmp_path, ledger, provider, policy_of(target, "a.test", authority.ca)) as gateway,
    ):
        agent = await gateway.tunnel()
        assert (await agent.ask(get())).status == 200
        gateway.policy = gateway.read_policy(policy_of(target, "b.test", authority.ca))
        answer = await agent.ask(get())
        assert (answer.status, answer.problem["cause"]) == (502, "target-unreachable")
        assert answer.problem["executed"] == "no"
        assert len(target.got) == 1


# Towards agents.


def leaf(agent: Agent) -> x509.Certificate:
    raw = agent.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return x509.load_der_x509_certificate(raw)


def names_of(certificate: x509.Certificate) -> list[str]:
    found = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    assert isinstance(found, x509.SubjectAlternativeName)
    return [str(each.value) for each in found]


async def test_the_leaf_is_for_exactly_the_host_of_the_tunnel(
    tmp_path: Path, ledger: RunningLedger, provider: Provider, target: RawTarget
) -> None:
    policy = policy_for(target)
    policy["targets"]["billing"]["hosts"] = ["billing.internal", "10.1.2.3", "also.internal"]
    async with Gateway(tmp_path, ledger, provider, policy) as gateway:
        shown = leaf(await gateway.tunnel())  # verified by the root, constraints included
        assert names_of(shown) == ["billing.internal"]
        assert names_of(leaf(await gateway.tunnel("also.internal"))) == ["also.internal"]
        assert names_of(leaf(await gateway.tunnel("10.1.2.3"))) == ["10.1.2.3"]
        authority = x509.load_pem_x509_certificates((gateway.settings.ca / CA_FILE).read_bytes())[0]
        assert shown.issuer == authority.subject
        constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
        permitted = {str(each.value) for each in constraints.permitted_subtrees or ()}
        assert permitted == {"billing.internal", "also.internal", "10.1.2.3", "10.1.2.3/32"}
        agent = await gateway.connect()
        name, port = b"elsewhere.internal", 443
        head = b"CONNECT %s:%d HTTP/1.1\r\nHost: %s:%d\r\n%s\r\n" % (name, port, name, port, gateway.authorization())
        assert (await agent.ask(head)).status == 403


async def test_agents_get_nothing_older_than_tls_1_2(gateway: Gateway) -> None:
    agent = await gateway.connect()
    head = b"CONNECT billing.internal:443 HTTP/1.1\r\nHost: billing.internal:443\r\n%s\r\n"
    await agent.ask(head % gateway.authorization())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(gateway.root)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await agent.writer.start_tls(context, server_hostname="billing.internal", ssl_handshake_timeout=5)


async def test_a_new_authority_serves_the_new_hosts_and_open_connections_live_on(
    gateway: Gateway, target: RawTarget
) -> None:
    before = await gateway.tunnel()
    policy = policy_for(target)
    policy["targets"]["billing"]["hosts"] = ["billing.internal", "new.internal"]
    gateway.policy = gateway.read_policy(policy)
    assert ensure_intermediate(gateway.settings.ca, {"billing.internal", "new.internal"}, datetime.now(UTC))
    certificates: Certificates = gateway.chain.addons[1]._certificates  # type: ignore[attr-defined]
    with pytest.raises(ssl.SSLCertVerificationError):  # the old authority is constrained to the old hosts
        await gateway.tunnel("new.internal")
    certificates.reload()
    agent = await gateway.tunnel("new.internal")
    assert (await agent.ask(get(host="new.internal"))).status == 200
    assert (await before.ask(get())).status == 200


async def test_tls_to_the_proxy_itself(
    tmp_path: Path, ledger: RunningLedger, provider: Provider, target: RawTarget, authority: TestAuthority
) -> None:
    cert, key = authority.pair("127.0.0.1")
    tls = {"cert": str(cert), "key": str(key)}
    async with Gateway(tmp_path, ledger, provider, policy_for(target), tls=tls) as gateway:
        agent = await gateway.connect()
        await agent.start_tls(authority.ca, "127.0.0.1", "h2")
        assert agent.writer.get_extra_info("ssl_object").selected_alpn_protocol() is None
        agent = await gateway.connect()
        await agent.start_tls(authority.ca, "127.0.0.1")
        raw = b"GET http://billing.internal/v1/a HTTP/1.1\r\nHost: billing.internal\r\n%s\r\n"
        assert (await agent.ask(raw % gateway.authorization())).status == 200
        plain = await gateway.connect()
        await plain.send(raw % gateway.authorization())
        assert await plain.closed() == b""
        await gateway.entry("connection.refused", cause="tls-required")
