import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.parts.flows import client, connect, flow_for, lead, problem, tunnelled
from tests.parts.gateway import Gateway

type Token = Callable[[Gateway], str]


def basic(text: bytes) -> tuple[str, str]:
    return "Proxy-Authorization", "Basic " + base64.b64encode(text).decode()


async def test_a_token_at_connect_serves_each_request_of_the_tunnel(gateway: Gateway) -> None:
    of = client()
    await connect(gateway, of, headers=[basic(f"my session:{gateway.provider.token(jti='t-1')}".encode())])
    _, exchange = await lead(gateway, flow_for(of))
    assert exchange.token is not None
    assert exchange.token.principal.name == "corp:agent-7"
    (intent,) = gateway.entries("request.intent")
    assert (intent.fields["label"], intent.fields["token"]) == ("my session", "t-1")
    assert intent.fields["session"] == exchange.token.session


async def test_bearer_works_as_well(gateway: Gateway) -> None:
    flow = await connect(gateway, client(), headers=[("proxy-authorization", f"bearer {gateway.provider.token()}")])
    assert flow.response is None
    assert "proxy-authorization" not in flow.request.headers


BAD: dict[str, tuple[str, Callable[[Gateway], list[tuple[str, str]]]]] = {
    "none": ("token-missing", lambda g: []),
    "twice, the second good": ("token-malformed", lambda g: [basic(b"a:b"), basic(f"a:{g.provider.token()}".encode())]),
    "twice, the first good": ("token-malformed", lambda g: [basic(f"a:{g.provider.token()}".encode()), basic(b"a:b")]),
    "two in one line": (
        "token-malformed",
        lambda g: [("Proxy-Authorization", f"{basic(b'a:b')[1]}, {basic(g.provider.token().encode())[1]}")],
    ),
    "no base64": ("token-malformed", lambda g: [("Proxy-Authorization", "Basic !!!")]),
    "bytes after the padding": ("token-malformed", lambda g: [("Proxy-Authorization", basic(b"a:bb")[1] + "==AAAA")]),
    "no ASCII inside": ("token-malformed", lambda g: [basic("agent:tökén".encode())]),
    "digest": ("token-malformed", lambda g: [("Proxy-Authorization", 'Digest username="a"')]),
    "empty": ("token-malformed", lambda g: [("Proxy-Authorization", "")]),
    "no password": ("token-malformed", lambda g: [basic(b"agent")]),
    "expired": ("token-expired", lambda g: [basic(f"a:{g.provider.expired_token()}".encode())]),
    "forged": ("bad-signature", lambda g: [basic(f"a:{g.provider.forged_token()}".encode())]),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("how", ["connect", "plain"])
async def test_a_bad_token_is_a_407_that_shows_nothing_of_it(gateway: Gateway, case: str, how: str) -> None:
    cause, headers = BAD[case]
    given = headers(gateway)
    if how == "connect":
        flow = await connect(gateway, client(), headers=given)
    else:
        flow = flow_for(
            client(), headers=[("Host", "billing.internal"), *given], host="billing.internal", port=80, scheme="http"
        )
        await lead(gateway, flow)
    assert flow.response is not None
    assert (flow.response.status_code, problem(flow)["cause"]) == (407, cause)
    assert flow.response.headers["Proxy-Authenticate"] == 'Basic realm="doorward"'
    for _, value in given:
        assert not value or value.split()[-1].encode() not in (flow.response.content or b"")
    await gateway.entry("request.refused", cause=cause)


async def test_a_token_that_expires_in_the_tunnel(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    of = await tunnelled(gateway)
    assert (await lead(gateway, flow_for(of)))[0] is not None
    later = datetime.now(UTC) + timedelta(hours=2)
    monkeypatch.setattr(gateway.chain.addons[0], "_now", lambda: later)
    flow = flow_for(of)
    await lead(gateway, flow)
    assert (problem(flow)["status"], problem(flow)["cause"]) == (407, "token-expired")


async def test_a_tunnels_requests_cannot_bring_another_token(gateway: Gateway) -> None:
    other = ("Proxy-Authorization", f"Bearer {gateway.provider.token('agent-9')}")
    flow = flow_for(await tunnelled(gateway), headers=[("Host", "billing.internal"), other])
    sent, exchange = await lead(gateway, flow)
    assert exchange.token is not None
    assert exchange.token.principal.subject == "agent-7"
    assert sent is not None
    assert "proxy-authorization" not in sent.headers


async def test_a_label_is_short_and_printable(gateway: Gateway) -> None:
    flow = await connect(
        gateway, client(), headers=[basic(b"a\x1b[31m" + b"b" * 99 + b":" + gateway.provider.token().encode())]
    )
    label = gateway.chain.exchanges.of(flow).label
    assert len(label) == 64
    assert label.isprintable()
