import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from mitmproxy import http

from doorward.errors import Misconfigured, Refused, TargetFailed, TooLarge, Unavailable, Withheld
from doorward.gateway.exchange import Exchange, Exchanges
from doorward.gateway.guard import answer_step, request_step
from tests.parts.flows import client, finish, flow_for


class Steps:
    def __init__(self) -> None:
        self.exchanges = Exchanges()
        self.act: Callable[[], Awaitable[None]] = self.nothing
        self.calls = 0

    async def nothing(self) -> None:
        """Come back at once."""

    @request_step(deadline_s=0.05)
    async def request(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        self.calls += 1
        await self.act()

    @answer_step(deadline_s=0.05)
    async def response(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        self.calls += 1
        await self.act()


def raising(error: BaseException) -> Callable[[], Awaitable[None]]:
    async def act() -> None:
        raise error

    return act


def status(flow: http.HTTPFlow) -> tuple[int, str, str]:
    assert flow.response is not None
    problem = json.loads(flow.response.content or b"")
    assert problem["status"] == flow.response.status_code
    return problem["status"], problem["cause"], problem["executed"]


@pytest.mark.parametrize(
    ("error", "before", "after"),
    [
        (Refused("no", cause="policy"), (403, "policy", "no"), (502, "policy", "yes")),
        (Unavailable("away", cause="ledger-away"), (503, "ledger-away", "no"), (502, "ledger-away", "yes")),
        (TooLarge("long", cause="long"), (413, "long", "no"), (502, "long", "yes")),
        (Withheld("echo", cause="echo"), (502, "echo", "no"), (502, "echo", "yes")),
        (TargetFailed("gone", cause="gone"), (502, "gone", "no"), (502, "gone", "yes")),
        (Misconfigured("wrong", cause="wrong"), (500, "wrong", "no"), (502, "wrong", "yes")),
        (ValueError("s3cr3t"), (503, "gateway-error", "no"), (502, "gateway-error", "yes")),
        (RecursionError("s3cr3t"), (503, "gateway-error", "no"), (502, "gateway-error", "yes")),
        (TimeoutError("s3cr3t"), (503, "gateway-timeout", "no"), (502, "gateway-timeout", "yes")),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_what_is_raised_becomes_a_refusal(
    error: Exception,
    before: tuple[int, str, str],
    after: tuple[int, str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    steps = Steps()
    steps.act = raising(error)
    flow = flow_for(client())
    await finish(steps.request(flow))
    assert status(flow) == before
    flow = flow_for(client())
    exchange = steps.exchanges.of(flow)
    exchange.sent = exchange.answered = True
    await finish(steps.response(flow))
    assert status(flow) == after
    assert "s3cr3t" not in caplog.text
    assert b"s3cr3t" not in (flow.response.content or b"" if flow.response else b"")


async def test_a_passed_deadline_is_a_refusal() -> None:
    steps = Steps()

    async def sleep() -> None:
        await asyncio.sleep(5)

    steps.act = sleep
    flow = flow_for(client())
    await finish(steps.request(flow))
    assert status(flow) == (503, "gateway-timeout", "no")


async def test_a_refused_flow_skips_steps_of_the_request_and_none_of_the_answer() -> None:
    steps = Steps()
    flow = flow_for(client())
    steps.exchanges.of(flow).refusal = Refused("no", cause="policy")
    await finish(steps.request(flow))
    assert steps.calls == 0
    await finish(steps.response(flow))
    assert steps.calls == 1


async def test_a_cancelled_connection_stays_cancelled() -> None:
    steps = Steps()
    steps.act = raising(asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await finish(steps.request(flow_for(client())))
