import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from mitmproxy import http

from doorward.core.entry import Role
from doorward.core.redaction.masks import sentinel_for
from doorward.errors import Unavailable
from tests.parts.flows import answer, finish, flow_for, lead, problem, tunnelled
from tests.parts.gateway import KEY, SECRET, Gateway

SENTINEL = sentinel_for(KEY)
JSON = ("Content-Type", "application/json")


def with_masks(gateway: Gateway, *masks: dict[str, Any]) -> None:
    gateway.policy = gateway.read_policy({**_policy(gateway), "masks": list(masks)})


def _policy(gateway: Gateway) -> dict[str, Any]:
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


async def body_of(gateway: Gateway, flow: http.HTTPFlow, name: str) -> bytes:
    request = gateway.chain.exchanges.of(flow).id
    for entry in gateway.entries():
        bodies: Any = entry.fields.get("bodies") or {}
        if entry.fields.get("request") == request and name in bodies:
            reader = await gateway.ledger.client(Role.COMMAND)
            return await reader.read_body(bodies[name]["digest"], reader="test", why="test")
    raise AssertionError(f"no {name}")


async def test_a_masked_answer(gateway: Gateway) -> None:
    says = answer({"email": "ann@example.com", "n": 1}, 200, JSON, ("ETag", '"1"'), ("Set-Cookie", "a=b"), ("X-A", "b"))
    flow = flow_for(await tunnelled(gateway))
    _, exchange = await lead(gateway, flow, says)
    assert flow.response is not None
    assert json.loads(flow.response.content or b"") == {"email": SENTINEL, "n": 1}
    assert {name.lower(): value for name, value in flow.response.headers.items()} == {
        "content-type": "application/json",
        "x-a": "b",
        "content-length": str(len(flow.response.raw_content or b"")),
        "doorward-request": exchange.id,
    }
    assert await body_of(gateway, flow, "response_body") == flow.response.content
    assert json.loads(await body_of(gateway, flow, "response_head"))["status"] == 200


async def test_numbers_keep_their_digits_and_unmasked_answers_their_bytes(gateway: Gateway) -> None:
    body = b'{"a": 1.10, "b": 12345678901234567890}'
    flow = flow_for(await tunnelled(gateway))
    await lead(gateway, flow, answer(body=body))
    assert flow.response is not None
    assert flow.response.raw_content == body


@pytest.mark.parametrize(
    ("says", "cause"),
    [
        (lambda: answer(None, 200, ("Content-Type", "text/html"), body=b"<p>ann@example.com"), "not-json"),
        (lambda: answer(None, 200, JSON, body=b'{"email": '), "not-json"),
        (lambda: answer(None, 200, JSON, ("Content-Encoding", "gzip"), body=b"no gzip"), "content-encoding"),
        (lambda: answer(None, 200, JSON, ("Content-Encoding", "hex"), body=b"7b7d"), "content-encoding"),
        (
            lambda: answer(None, 200, JSON, ("Content-Encoding", "gzip"), ("Content-Encoding", "gzip"), body=b"a"),
            "content-encoding",
        ),
        (
            lambda: answer(None, 200, JSON, ("Transfer-Encoding", "gzip, chunked"), body=gzip.compress(b"{}")),
            "transfer-encoding",
        ),
        (
            lambda: answer(None, 200, JSON, ("Content-Encoding", "gzip"), body=gzip.compress(bytes(65 << 20))),
            "response-too-large",
        ),
        (lambda: answer(None, 206, JSON, body=b'{"a": 1}'), "partial-answer"),
        (lambda: answer(None, 101, body=b""), "status"),
        (lambda: answer(None, 199, body=b""), "status"),
        (lambda: answer(None, 999, body=b""), "status"),
        (lambda: answer(None, 200, ("Content-Type", "application/json; charset=utf-7"), body=b"{}"), "charset"),
        (
            lambda: answer(None, 200, ("Content-Type", "application/json"), ("X", "a\x0bb"), body=b"{}"),
            "answer-headers",
        ),
    ],
)
async def test_what_cannot_be_cleared_is_withheld(
    gateway: Gateway, says: Callable[[], http.Response], cause: str
) -> None:
    flow = flow_for(await tunnelled(gateway))
    await lead(gateway, flow, says())
    refusal = problem(flow)
    assert (refusal["status"], refusal["executed"]) == (502, "yes")
    assert b"ann@" not in (flow.response.content or b"" if flow.response else b"")
    if cause != "not-json":
        assert refusal["cause"] == cause
    entry = await gateway.entry("request.outcome", cause=refusal["cause"], executed="yes")
    assert "bodies" not in entry.fields or not entry.fields["bodies"]


async def test_a_coding_is_undone(gateway: Gateway) -> None:
    raw = gzip.compress(b'{"email": "ann@example.com"}')
    flow = flow_for(await tunnelled(gateway))
    await lead(gateway, flow, answer(None, 200, JSON, ("Content-Encoding", "gzip"), body=raw))
    assert flow.response is not None
    assert "content-encoding" not in flow.response.headers
    assert json.loads(flow.response.raw_content or b"") == {"email": SENTINEL}


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
@pytest.mark.parametrize("masked", [True, False], ids=["masked", "plain"])
async def test_an_answer_without_a_body_may_speak_of_a_coding(
    gateway: Gateway, method: str, status: int, masked: bool
) -> None:
    hidden = {"fields": ["$..email"]} if masked else {"headers": ["x-person"]}
    with_masks(gateway, {"name": "m", "match": {"target": "billing"}, **hidden})
    says = answer(None, status, JSON, ("Content-Encoding", "gzip"), ("Content-Length", "77"), body=b"")
    flow = flow_for(await tunnelled(gateway), method)
    await lead(gateway, flow, says)
    assert flow.response is not None
    assert (flow.response.status_code, flow.response.raw_content) == (status, b"")
    # The length of what a mask would have changed tells of it.
    assert flow.response.headers.get("content-length") == ("77" if method == "HEAD" and not masked else None)


@pytest.mark.parametrize(
    "leak",
    [
        lambda: answer({"token": SECRET}),
        lambda: answer(None, 200, ("Content-Type", "text/plain"), body=f"you sent {SECRET}!".encode()),
        lambda: answer(None, 200, JSON, ("X-Echo", f"Bearer {SECRET}")),
    ],
)
async def test_an_echo_of_the_credential_is_taken_out(gateway: Gateway, leak: Callable[[], http.Response]) -> None:
    with_masks(gateway, {"name": "m", "match": {"target": "billing"}, "query": ["email"]})
    flow = flow_for(await tunnelled(gateway))
    await lead(gateway, flow, leak())
    assert flow.response is not None
    assert flow.response.status_code == 200
    assert SECRET not in repr(flow.response.get_state())
    (outcome,) = gateway.entries("request.outcome")
    assert outcome.fields["echo"] == 1
    files = b"".join(file.read_bytes() for file in gateway.ledger.path.rglob("*") if file.is_file())
    assert SECRET.encode() not in files


async def test_an_echo_that_cannot_be_taken_out_withholds(gateway: Gateway) -> None:
    with_masks(gateway, {"name": "m", "match": {"target": "billing"}, "query": ["email"]})
    flow = flow_for(await tunnelled(gateway))
    await lead(gateway, flow, answer(None, 200, JSON, (f"X-{SECRET}", "a")))
    assert (problem(flow)["status"], problem(flow)["cause"]) == (502, "echo")


async def test_a_credential_that_vanished_withholds_and_does_not_invite_to_repeat(gateway: Gateway) -> None:
    of = await tunnelled(gateway)
    flow = flow_for(of)
    for hook in ("requestheaders", "request"):
        for call in gateway.chain.hooks[hook]:
            await finish(call(flow))
    gateway.chain.wire(flow)
    gateway.credential.error = Unavailable("it cannot be read", cause="credential-unreadable")
    flow.response = answer()
    for hook in ("responseheaders", "response"):
        for call in gateway.chain.hooks[hook]:
            await finish(call(flow))
    assert (problem(flow)["status"], problem(flow)["executed"]) == (502, "yes")
    assert "Retry-After" not in flow.response.headers


async def test_a_mask_for_the_record_leaves_the_answer_alone(gateway: Gateway) -> None:
    mask = {"name": "m", "match": {"target": "billing"}, "fields": ["$..email"], "headers": ["X-Who"], "query": ["q"]}
    with_masks(gateway, mask | {"apply_to": "record"})
    says = answer({"email": "ann@example.com"}, 200, JSON, ("X-Who", "ann"), ("X-Api-Key", "k"), ("ETag", '"1"'))
    flow = flow_for(await tunnelled(gateway), path="/v1/a?q=ann&api_key=k&page=1")
    await lead(gateway, flow, says)
    assert flow.response is not None
    assert flow.response.content == b'{"email": "ann@example.com"}'
    assert (flow.response.headers["x-who"], flow.response.headers["etag"]) == ("ann", '"1"')
    assert json.loads(await body_of(gateway, flow, "response_body")) == {"email": SENTINEL}
    head = json.loads(await body_of(gateway, flow, "response_head"))
    assert [value for name, value in head["headers"] if name in ("X-Who", "X-Api-Key")] == [SENTINEL, SENTINEL]
    head = json.loads(await body_of(gateway, flow, "request_head"))
    assert head["url"].endswith(f"/v1/a?q={SENTINEL}&api_key={SENTINEL}&page=1")


async def test_a_written_body_is_masked_in_the_record_alone(gateway: Gateway) -> None:
    flow = flow_for(
        await tunnelled(gateway),
        "POST",
        headers=[("Host", "billing.internal"), JSON, ("X-Auth-Token", "t0ken")],
        body=b'{"email": "ann@example.com"}',
    )
    await lead(gateway, flow)
    assert flow.request.raw_content == b'{"email": "ann@example.com"}'
    assert json.loads(await body_of(gateway, flow, "request_body")) == {"email": SENTINEL}
    assert b"t0ken" not in await body_of(gateway, flow, "request_head")


async def test_record_headers_keeps_no_bodies(gateway: Gateway) -> None:
    policy = _policy(gateway)
    policy["targets"]["billing"]["record"] = "headers"
    gateway.policy = gateway.read_policy(policy)
    flow = flow_for(await tunnelled(gateway), "POST", body=b"a body")
    await lead(gateway, flow)
    names: set[str] = set()
    for entry in gateway.entries():
        bodies: Any = entry.fields.get("bodies") or {}
        names |= set(bodies)
    assert names == {"request_head", "response_head"}
    assert gateway.entries("request.outcome")[0].fields["kept"] is False


async def test_nothing_streams_past_the_masks(gateway: Gateway) -> None:
    flow = flow_for(await tunnelled(gateway))
    says = answer()
    says.stream = True
    await lead(gateway, flow, says)
    assert flow.response is not None
    assert flow.response.stream is False
