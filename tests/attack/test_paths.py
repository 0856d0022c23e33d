"""Paths, queries, ranges, cookies and redirects that try to mean another thing to the target than to the policy."""

from typing import Any

import pytest

from tests.parts.gateway import Gateway, get
from tests.parts.http2 import Http2Agent
from tests.parts.policies import policy_for
from tests.parts.raw_target import OK, RawTarget

# Each of these is a way to /v1/secrets/x, or to a place beside /v1, for some target that decodes in its own way.
PATHS = {
    "dot-dot": "/v1/a/../secrets/x",
    "dot": "/v1/./secrets/x",
    "encoded-dots": "/v1/a/%2e%2e/secrets/x",
    "half-encoded-dots": "/v1/a/.%2E/secrets/x",
    "double-slash": "/v1//secrets/x",
    "slash-at-the-start": "//v1/secrets/x",
    "slash-at-the-end": "/v1/secrets/x/",
    "encoded-slash": "/v1/a%2f..%2fsecrets/x",
    "encoded-slash-alone": "/v1/secrets%2Fx",
    "backslash": "/v1\\secrets\\x",
    "encoded-backslash": "/v1/secrets%5cx",
    "double-encoding": "/v1/%2573ecrets/x",
    "double-encoded-dots": "/v1/a/%252e%252e/secrets/x",
    "microsoft-encoding": "/v1/%u0073ecrets/x",
    "parameter": "/v1/secrets;a=b/x",
    "parameter-and-dots": "/v1/..;/secrets/x",
    "nul": "/v1/secrets%00/x",
    "control": "/v1/secrets%0a/x",
    "overlong": "/v1/%c0%ae%c0%ae/secrets/x",
    "overlong-slash": "/v1/secrets%c0%afx",
    "broken-utf-8": "/v1/secrets%ff/x",
    "full-width-slash": "/v1/secrets%ef%bc%8fx",
    "full-width-dots": "/v1/%ef%bc%8e%ef%bc%8e/secrets/x",
    "percent-alone": "/v1/secrets%/x",
    "percent-half": "/v1/secrets%2/x",
    "fragment": "/v1/secrets/x#/v1/a",
    "absolute": "http://billing.internal/v1/secrets/x",
    "authority": "//billing.internal/v1/secrets/x",
    "userinfo": "/v1/@evil/../secrets/x",
    "query-semicolon": "/v1/a?x=1;y=2",
    "query-twice": "/v1/a?x=1&x=2",
    "query-twice-encoded": "/v1/a?x=1&%78=2",
    "query-fragment": "/v1/a?x=1#y",
    "query-nul": "/v1/a?x=%00",
}


@pytest.mark.parametrize("kind", PATHS)
@pytest.mark.parametrize("version", ["http/1.1", "h2"])
async def test_a_path_with_two_readings_reaches_nobody(
    gateway: Gateway, target: RawTarget, kind: str, version: str
) -> None:
    if version == "h2":
        answer = await (await Http2Agent.tunnel(gateway)).ask(path=PATHS[kind])
    else:
        answer = await (await gateway.tunnel()).ask(get(PATHS[kind]))
    assert answer.status == 400
    assert answer.problem["executed"] == "no"
    assert target.got == []


@pytest.mark.parametrize("path", ["/v1/%73ecrets/x", "/v1/secret%73/x", "/v1/secrets/x?a=/v1/a", "/v1/secrets/%78"])
async def test_an_encoded_name_is_the_name(gateway: Gateway, target: RawTarget, path: str) -> None:
    answer = await (await gateway.tunnel()).ask(get(path))
    assert (answer.status, answer.problem["cause"]) == (403, "policy")
    assert target.got == []


@pytest.mark.parametrize("path", ["/V1/a", "/v1", "/v1/Secrets/x", "/v2/a"])
async def test_case_and_depth_matter(gateway: Gateway, target: RawTarget, path: str) -> None:
    """What a target that ignores case would take for a denied path is at least not silently another."""
    answer = await (await gateway.tunnel()).ask(get(path))
    assert answer.status == (200 if path == "/v1/Secrets/x" else 403)


@pytest.mark.parametrize("line", ["Range: bytes=0-3", "Range: bytes=10-", "If-Range: x", "Range: bytes=0-1,5-9"])
async def test_no_part_of_a_masked_answer_can_be_asked_for(gateway: Gateway, target: RawTarget, line: str) -> None:
    target.answer = (
        b"HTTP/1.1 206 Partial Content\r\nContent-Type: application/json\r\nContent-Range: bytes 0-12/99\r\n"
    )
    target.answer += b'Content-Length: 13\r\n\r\n"ann@exampl",'
    answer = await (await gateway.tunnel()).ask(get("/v1/a", line))
    assert b"range" not in target.got[0].lower()
    assert (answer.status, answer.problem["cause"]) == (502, "partial-answer")
    assert b"ann@" not in answer.body


async def test_multipart_ranges_are_no_way_round_a_mask(gateway: Gateway, target: RawTarget) -> None:
    body = b'--b\r\nContent-Type: application/json\r\n\r\n{"email": "ann@example.com"}\r\n--b--'
    head = "HTTP/1.1 200 OK\r\nContent-Type: multipart/byteranges; boundary=b\r\nContent-Length: %d\r\n\r\n"
    target.answer = (head % len(body)).encode() + body
    answer = await (await gateway.tunnel()).ask(get())
    assert answer.problem["cause"] == "not-json"


def with_cookies(policy: dict[str, Any], passes: bool) -> dict[str, Any]:
    if passes:
        policy["targets"]["billing"]["cookies"] = "pass"
    return policy


@pytest.mark.parametrize("passes", [False, True])
async def test_cookies_pass_both_ways_or_neither(gateway: Gateway, target: RawTarget, passes: bool) -> None:
    gateway.policy = gateway.read_policy(with_cookies(policy_for(target), passes))
    target.answer = OK.replace(
        b"Content-Length", b"Set-Cookie: sid=5e55ion; Path=/\r\nSet-Cookie2: b=5e55ion\r\nContent-Length"
    )
    answer = await (await gateway.tunnel()).ask(get("/v1/a", "Cookie: sid=c00kie"))
    assert (b"c00kie" in target.got[0]) is passes
    assert ("5e55ion" in str(answer.headers)) is passes


@pytest.mark.parametrize(
    "location", ["https://evil.internal/x", "//evil.internal/x", "/v1/secrets/x", "http://169.254.169.254/"]
)
async def test_the_gateway_follows_no_redirect(gateway: Gateway, target: RawTarget, location: str) -> None:
    """The agent may, through the gateway again, where the policy decides anew."""
    target.answer = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
    agent = await gateway.tunnel()
    answer = await agent.ask(get())
    assert (answer.status, answer.headers["location"]) == (302, location)
    assert len(target.got) == 1
    assert (await agent.ask(get("/v1/secrets/x"))).status == 403
    assert (target.connections, len(target.got)) == (1, 1)
