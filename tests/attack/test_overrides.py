"""Requests whose method, client or host is told a second time, in a place where a target may believe it."""

import pytest

from tests.parts.gateway import Gateway, get
from tests.parts.raw_target import RawTarget

FORM = "Content-Type: application/x-www-form-urlencoded"


def posted(body: bytes, content_type: str, path: str = "/v1/a") -> bytes:
    return get(path, content_type, f"Content-Length: {len(body)}", method="POST") + body


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
async def test_a_method_in_a_header_does_not_reach_the_target(gateway: Gateway, target: RawTarget, name: str) -> None:
    agent = await gateway.tunnel()
    assert (await agent.ask(get("/v1/a", f"{name}: DELETE", method="POST"))).status == 200
    assert b"DELETE" not in target.got[0]
    twin = name.replace("-", "_")
    assert (await agent.ask(get("/v1/a", f"{twin}: DELETE", method="POST"))).problem["cause"] == "underscore-twin"
    assert len(target.got) == 1


OVERRIDES = {
    "query": get("/v1/a?_method=DELETE", method="POST"),
    "query-of-a-read": get("/v1/a?_method=DELETE"),
    "query-in-capitals": get("/v1/a?_METHOD=delete", method="POST"),
    "query-encoded": get("/v1/a?%5fmethod=DELETE", method="POST"),
    "query-as-php-reads-it": get("/v1/a?.method=DELETE", method="POST"),
    "form": posted(b"a=b&_method=DELETE", FORM),
    "form-encoded": posted(b"%5Fmetho%64=DELETE", FORM),
    "form-with-charset": posted(b"_method=DELETE", FORM + "; charset=utf-8"),
    "form-in-capitals": posted(b"_method=DELETE", FORM.upper()),
    "multipart": posted(
        b'--b\r\nContent-Disposition: form-data; name="_method"\r\n\r\nDELETE\r\n--b--\r\n',
        "Content-Type: multipart/form-data; boundary=b",
    ),
    "json": posted(b'{"_method": "DELETE"}', "Content-Type: application/json"),
    "json-escaped": posted(b'{"\\u005fmethod": "DELETE"}', "Content-Type: application/json"),
}


@pytest.mark.parametrize("kind", OVERRIDES)
async def test_a_second_method_does_not_lead_round_a_hold(gateway: Gateway, target: RawTarget, kind: str) -> None:
    """A POST is allowed there and a DELETE is held: frameworks would make one of the other."""
    agent = await gateway.tunnel()
    answer = await agent.ask(OVERRIDES[kind])
    assert (answer.status, answer.problem["cause"]) == (400, "method-override")
    assert target.got == []
    assert (await agent.ask(posted(b"_method=POST&payment_method=x", FORM))).status == 200


CLIENT_NAMES = [
    "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "True-Client-IP",
    "X-Client-IP", "Client-IP", "X-Cluster-Client-IP", "CF-Connecting-IP", "Fastly-Client-IP", "X-Original-URL",
    "X-Rewrite-URL", "X-Remote-User", "Remote-User", "Impersonate-User",
]  # fmt: skip


@pytest.mark.parametrize("name", CLIENT_NAMES)
@pytest.mark.parametrize("spell", [str, str.lower, str.upper], ids=["", "lower", "upper"])
async def test_an_agent_poses_as_no_other_client(gateway: Gateway, target: RawTarget, name: str, spell: object) -> None:
    assert callable(spell)
    agent = await gateway.tunnel()
    assert (await agent.ask(get("/v1/a", f"{spell(name)}: 10.9.8.7"))).status == 200
    assert b"10.9.8.7" not in target.got[0]


@pytest.mark.parametrize("name", [each for each in CLIENT_NAMES if "-" in each])
async def test_an_agent_poses_as_no_other_client_with_underscores(
    gateway: Gateway, target: RawTarget, name: str
) -> None:
    """CGI and WSGI make one name of `X_REAL_IP` and `X-Real-IP`."""
    answer = await (await gateway.tunnel()).ask(get("/v1/a", f"{name.replace('-', '_')}: 10.9.8.7"))
    assert answer.problem["cause"] == "underscore-twin"
    assert target.got == []


async def test_a_name_that_connection_lists_does_not_bring_a_dropped_header_back(
    gateway: Gateway, target: RawTarget
) -> None:
    agent = await gateway.tunnel()
    await agent.ask(get("/v1/a", "Connection: x-a, true-client-ip", "X-A: 10.9.8.7", "True-Client-IP: 10.9.8.7"))
    assert b"10.9.8.7" not in target.got[0]
