import gzip
from typing import Any

import pytest

from doorward.core.redaction.masks import sentinel_for
from tests.parts.flows import client, flow_for, lead, problem, tunnelled
from tests.parts.gateway import KEY, Gateway

HOST = ("Host", "billing.internal")


async def test_the_target_gets_what_was_read(gateway: Gateway) -> None:
    headers = [HOST, ("Cookie", "a=b"), ("X-Forwarded-For", "1.2.3.4"), ("Accept-Encoding", "br"), ("Accept", "*/*")]
    flow = flow_for(await tunnelled(gateway), path="/v1/a%20b?page=1", headers=headers)
    sent, exchange = await lead(gateway, flow)
    target = gateway.policy.targets["billing"]
    assert sent is not None
    assert (sent.data.scheme, sent.data.host, sent.data.port) == (b"http", "127.0.0.1", target.port)
    assert sent.data.path == b"/v1/a%20b?page=1"
    assert sent.data.authority == b""
    names = [name.lower() for name, _ in sent.headers.fields]
    assert names == [b"host", b"accept", b"accept-encoding", b"authorization"]
    assert sent.headers["host"] == f"127.0.0.1:{target.port}"
    assert sent.headers["accept-encoding"] == "identity"
    assert exchange.action is not None
    assert exchange.action.path == "/v1/a b"


REFUSED: dict[str, tuple[int, str, dict[str, Any]]] = {
    "another host": (400, "host-differs", {"headers": [("Host", "other.internal")]}),
    "another port": (400, "host-differs", {"headers": [("Host", "billing.internal:80")]}),
    "two hosts": (400, "host-count", {"headers": [HOST, HOST]}),
    "no host": (400, "host-count", {"headers": []}),
    "an empty host": (400, "host-differs", {"headers": [("Host", "")]}),
    "a user in the host": (400, "host-differs", {"headers": [("Host", "a@billing.internal")]}),
    "a dot behind the host": (400, "host-differs", {"headers": [("Host", "billing.internal.")]}),
    "a port of other digits": (400, "host-differs", {"headers": [("Host", "billing.internal:44³")]}),
    "lower case method": (400, "method", {"method": "get"}),
    "dots in the path": (400, "dot-segment", {"path": "/v1/../admin"}),
    "transfer coding": (400, "transfer-encoding", {"headers": [HOST, ("Transfer-Encoding", "gzip, chunked")]}),
    "content coding": (400, "content-encoding", {"headers": [HOST, ("Content-Encoding", "hex")], "body": b"6162"}),
    "broken gzip": (400, "content-encoding", {"headers": [HOST, ("Content-Encoding", "gzip")], "body": b"6162"}),
    "two codings": (
        400,
        "",
        {"headers": [HOST, ("Content-Encoding", "gzip"), ("Content-Encoding", "br")], "body": b"x"},
    ),
    "upgrade": (403, "upgrade", {"headers": [HOST, ("Upgrade", "websocket"), ("Connection", "upgrade")]}),
    "a bomb": (
        413,
        "body-too-large",
        {"method": "POST", "headers": [HOST, ("Content-Encoding", "gzip")], "body": gzip.compress(bytes(17 << 20))},
    ),
    "a sentinel written back": (
        422,
        "write-back",
        {"method": "POST", "body": b'{"email": "%s"}' % sentinel_for(KEY).encode()},
    ),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_could_be_read_in_two_ways_is_refused(gateway: Gateway, case: str) -> None:
    status, cause, parts = REFUSED[case]
    flow = flow_for(await tunnelled(gateway), **parts)
    sent, _ = await lead(gateway, flow)
    assert sent is None
    refusal = problem(flow)
    assert refusal["status"] == status
    if cause:
        assert refusal["cause"].startswith(cause)
    await gateway.entry("request.refused", cause=refusal["cause"])


async def test_host_may_name_the_port(gateway: Gateway) -> None:
    flow = flow_for(await tunnelled(gateway), headers=[("host", "BILLING.internal:443")])
    assert (await lead(gateway, flow))[0] is not None


@pytest.mark.parametrize(
    ("method", "body", "length"), [("GET", b"", None), ("POST", b"", "0"), ("POST", b"{}", "2"), ("DELETE", b"", None)]
)
async def test_a_body_goes_with_its_length(gateway: Gateway, method: str, body: bytes, length: str | None) -> None:
    flow = flow_for(await tunnelled(gateway), method, body=body, headers=[HOST, ("Transfer-Encoding", "chunked")])
    gateway.policy = gateway.read_policy(without_holds(gateway))
    sent, _ = await lead(gateway, flow)
    assert sent is not None
    assert sent.headers.get("content-length") == length
    assert "transfer-encoding" not in sent.headers


def without_holds(gateway: Gateway) -> dict[str, Any]:
    return {
        "targets": {
            "billing": {
                "kind": "http",
                "url": gateway.policy.targets["billing"].url,
                "hosts": ["billing.internal"],
                "credential": "target-token",
            }
        },
        "roles": {"all": [{"paths": ["/v1/**"]}]},
        "bindings": [{"role": "all", "target": "billing", "groups": ["corp:agents"]}],
    }


async def test_a_sentinel_may_go_where_no_mask_hides_anything(gateway: Gateway) -> None:
    gateway.policy = gateway.read_policy(without_holds(gateway))  # and without masks
    body = b'{"messages": [{"content": "%s"}]}' % sentinel_for(KEY).encode()
    sent, _ = await lead(gateway, flow := flow_for(await tunnelled(gateway), "POST", body=body))
    assert sent is not None
    assert flow.response is not None
    assert flow.response.status_code == 200


async def test_gzip_is_undone_for_the_policy_and_left_for_the_target(gateway: Gateway) -> None:
    raw = gzip.compress(b'{"a": 1}')
    flow = flow_for(await tunnelled(gateway), "POST", headers=[HOST, ("Content-Encoding", "gzip")], body=raw)
    sent, exchange = await lead(gateway, flow)
    assert sent is not None
    assert exchange.body == b'{"a": 1}'
    assert flow.request.raw_content == raw
    assert sent.headers["content-encoding"] == "gzip"


async def test_plain_https_needs_connect_and_https_targets_need_https(gateway: Gateway) -> None:
    token = ("Proxy-Authorization", f"Bearer {gateway.provider.token()}")
    flow = flow_for(client(), headers=[HOST, token], host="billing.internal", port=443, scheme="https")
    await lead(gateway, flow)
    assert problem(flow)["cause"] == "scheme"
    policy = without_holds(gateway)
    policy["targets"]["billing"] |= {"url": "https://127.0.0.1:1", "hosts": ["billing.internal:80"]}
    gateway.policy = gateway.read_policy(policy)
    flow = flow_for(client(), headers=[HOST, token], host="billing.internal", port=80, scheme="http")
    await lead(gateway, flow)
    assert (problem(flow)["status"], problem(flow)["cause"]) == (403, "scheme")


async def test_the_owner_may_stand_in_the_policy(gateway: Gateway) -> None:
    gateway.policy = gateway.read_policy(without_holds(gateway) | {"owners": {"corp:agent-7": "corp:alice"}})
    _, exchange = await lead(gateway, flow_for(await tunnelled(gateway)))
    assert exchange.action is not None
    assert exchange.action.principal.owner == "corp:alice"
