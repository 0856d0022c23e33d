"""One table asks every step of the chain: what if you raise, never come back, or find nothing? A refusal, recorded."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from mitmproxy import http

from doorward.errors import Withheld
from doorward.gateway import guard
from doorward.gateway.chain import HOOK_NAMES
from doorward.gateway.exchange import Exchange
from tests.parts.flows import client, connect, finish, flow_for, lead, problem, tunnelled
from tests.parts.gateway import SECRET, Gateway, get
from tests.parts.policies import policy_for
from tests.parts.raw_target import RawTarget

ORDER = ["Authenticate", "OnlyHttp", "Interpret", "Authorize", "Redact", "Hold", "Record", "Dial", "Inject"]
STEPS = {
    "http_connect": ["Authenticate", "OnlyHttp"],
    "requestheaders": ["Authenticate", "Interpret"],
    "request": ["Interpret", "Authorize", "Redact", "Hold", "Record", "Dial", "Inject"],
    "responseheaders": ["Redact", "Inject"],
    "response": ["Redact", "Record", "Inject"],
    "http_connect_error": ["Record"],
    "error": ["Record"],
}
NO_FLOW = {
    "next_layer": ["OnlyHttp"],
    "tls_clienthello": ["OnlyHttp"],
    "tls_start_client": ["OnlyHttp"],
    "tls_established_client": ["OnlyHttp"],
    "server_connect": ["Dial"],
}
ON_THE_WAY = [(hook, step) for hook in ("requestheaders", "request") for step in STEPS[hook]]
ON_THE_WAY_BACK = [(hook, step) for hook in ("responseheaders", "response") for step in STEPS[hook]]


def step_of(call: Any) -> str:
    return type(call.__self__).__name__


def before(gateway: Gateway, hook: str, step: str, act: Callable[[http.HTTPFlow], None]) -> None:
    """Do something just before a step's hook."""

    async def acting(flow: http.HTTPFlow) -> None:
        act(flow)

    hooks = dict(gateway.chain.hooks)
    hooks[hook] = tuple(each for call in hooks[hook] for each in ((acting, call) if step_of(call) == step else (call,)))
    gateway.chain.hooks = hooks


class Poisoned:
    """An exchange at which a hook chokes, whatever it reads or sets; only the guard gets on with it."""

    _guards = frozenset({"refusal", "id", "sent", "executed", "refused_rules", "hold", "client"})

    def __init__(self, real: Exchange) -> None:
        object.__setattr__(self, "_real", real)

    def __getattr__(self, name: str) -> Any:
        if name in self._guards:
            return getattr(self._real, name)
        raise RuntimeError(f"poisoned by {SECRET}")

    def __setattr__(self, name: str, value: object) -> None:
        if name != "refusal":
            raise RuntimeError(f"poisoned by {SECRET}")
        setattr(self._real, name, value)


@dataclass
class PoisonedExchanges:
    real: Any

    def of(self, flow: http.HTTPFlow) -> Poisoned:
        return Poisoned(self.real.of(flow))


def poison(gateway: Gateway, hook: str, step: str) -> None:
    """Make one hook of one step raise."""
    call: Any
    (call,) = (each for each in gateway.chain.hooks[hook] if step_of(each) == step)
    addon = call.__self__

    async def poisoned(flow: http.HTTPFlow) -> None:
        real, addon.exchanges = addon.exchanges, PoisonedExchanges(addon.exchanges)
        try:
            await finish(call(flow))
        finally:
            addon.exchanges = real

    hooks = dict(gateway.chain.hooks)
    hooks[hook] = tuple(poisoned if each == call else each for each in hooks[hook])
    gateway.chain.hooks = hooks


def is_armed(gateway: Gateway, flow: http.HTTPFlow) -> bool:
    return flow in gateway.chain.addons[-1]._armed  # type: ignore[attr-defined]


async def assert_refused_unsent(gateway: Gateway, flow: http.HTTPFlow, sent: object) -> dict[str, Any]:
    assert sent is None
    assert not is_armed(gateway, flow)
    refusal = problem(flow)
    assert refusal["executed"] == "no"
    assert refusal["request"] == gateway.chain.exchanges.of(flow).id
    entries = [each for each in gateway.entries() if each.fields.get("request") == refusal["request"]]
    assert entries[-1].kind in ("request.refused", "request.outcome")
    assert entries[-1].fields["executed"] == "no"
    assert entries[-1].fields["cause"] == refusal["cause"]
    return refusal


def test_the_order_of_the_chain(gateway: Gateway) -> None:
    assert [type(addon).__name__ for addon in gateway.chain.addons] == ORDER
    assert {name: [step_of(call) for call in calls] for name, calls in gateway.chain.hooks.items()} == STEPS | NO_FLOW
    assert set(HOOK_NAMES) == set(STEPS) | set(NO_FLOW)


@pytest.mark.parametrize(("hook", "step"), ON_THE_WAY)
async def test_a_step_that_raises_on_the_way(
    gateway: Gateway, hook: str, step: str, caplog: pytest.LogCaptureFixture
) -> None:
    flow = flow_for(await tunnelled(gateway), method="DELETE" if step == "Hold" else "GET")
    poison(gateway, hook, step)
    sent, _ = await lead(gateway, flow)
    refusal = await assert_refused_unsent(gateway, flow, sent)
    assert (refusal["status"], refusal["cause"]) == (503, "gateway-error")
    assert SECRET not in caplog.text


@pytest.mark.parametrize(("hook", "step"), ON_THE_WAY_BACK)
async def test_a_step_that_raises_on_the_way_back(gateway: Gateway, hook: str, step: str) -> None:
    flow = flow_for(await tunnelled(gateway))
    poison(gateway, hook, step)
    sent, exchange = await lead(gateway, flow)
    assert sent is not None
    refusal = problem(flow)
    # Never 503: a client that repeats by itself would do it twice.
    assert (refusal["status"], refusal["cause"]) == (502, "gateway-error")
    assert refusal["executed"] in ("yes", "unknown")
    assert "Retry-After" not in (flow.response.headers if flow.response else {})
    outcomes = [each for each in gateway.entries("request.outcome") if each.fields["request"] == exchange.id]
    assert len(outcomes) == (0 if step == "Record" else 1)  # an intent without one is reported as unknown


@pytest.mark.parametrize(("hook", "step"), ON_THE_WAY_BACK)
async def test_a_step_that_raises_while_an_answer_streams(
    gateway: Gateway, target: RawTarget, hook: str, step: str
) -> None:
    policy = policy_for(target)
    del policy["masks"]
    gateway.policy = gateway.read_policy(policy)
    target.answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n...\r\n0\r\n\r\n"
    poison(gateway, hook, step)
    agent = await gateway.tunnel()
    await agent.send(get())
    answer = await agent.read()
    if hook == "responseheaders":
        assert (answer.status, answer.problem["cause"]) == (502, "gateway-error")
    else:  # the head is out; the end never comes
        assert (answer.status, await agent.closed()) == (200, b"3\r\n...\r\n")


@pytest.mark.parametrize("step", ["Redact", "Inject"])
@pytest.mark.parametrize("stream", [True, lambda piece: piece], ids=["as-it-is", "through-another"])
async def test_a_stream_that_no_step_made_is_not_begun(gateway: Gateway, step: str, stream: Any) -> None:
    flow = flow_for(await tunnelled(gateway))
    before(gateway, "responseheaders", step, lambda f: setattr(f.response, "stream", stream))
    await lead(gateway, flow)
    if step == "Redact":  # it stops there
        assert flow.response is not None
        assert (flow.response.status_code, flow.response.stream) == (200, False)
    else:
        assert problem(flow)["cause"] == "uncleared"
    with pytest.raises(Withheld):
        gateway.chain.begun(flow)


@pytest.mark.parametrize("step", STEPS["http_connect"])
async def test_a_step_that_raises_at_connect(gateway: Gateway, step: str) -> None:
    poison(gateway, "http_connect", step)
    of = client()
    flow = await connect(gateway, of)
    assert problem(flow)["status"] == 503
    await gateway.entry("request.refused", cause="gateway-error")
    plain = flow_for(of)
    await lead(gateway, plain)
    assert problem(plain)["status"] == 407  # no tunnel was left behind


async def test_a_refused_connect_that_cannot_be_recorded_stays_refused(gateway: Gateway) -> None:
    poison(gateway, "http_connect_error", "Record")
    flow = await connect(gateway, client(), "unknown.internal")
    assert problem(flow)["executed"] == "no"


async def forever(*_: object, **__: object) -> None:
    await asyncio.Event().wait()


def hang_at_the_token(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway.verifier, "remembered", lambda *_: None)  # a new one, with keys to wait for
    monkeypatch.setattr(gateway.verifier, "verify_patiently", forever)


NEVER: dict[str, tuple[str, str, Callable[[Gateway, pytest.MonkeyPatch], None]]] = {
    "the verifier": ("GET", "no", hang_at_the_token),
    "the ledger at the hold": ("DELETE", "no", lambda g, m: m.setattr(g.client, "open_hold", forever)),
    "the ledger at the wait": ("DELETE", "no", lambda g, m: m.setattr(g.client, "wait_hold", forever)),
    "the ledger at the intent": ("GET", "no", lambda g, m: m.setattr(g.client, "append", forever)),
    "the name server": (
        "GET",
        "no",
        lambda g, m: m.setattr(asyncio.get_running_loop(), "getaddrinfo", forever, raising=False),
    ),
}


@pytest.mark.parametrize("who", NEVER)
async def test_a_step_that_never_comes_back(gateway: Gateway, who: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method, executed, hang = NEVER[who]
    real = asyncio.timeout
    flow = flow_for(await tunnelled(gateway), method)
    monkeypatch.setattr(guard, "asyncio", type("Short", (), {"timeout": staticmethod(lambda _: real(0.1))}))
    hang(gateway, monkeypatch)
    sent, _ = await lead(gateway, flow)
    assert sent is None
    assert not is_armed(gateway, flow)
    refusal = problem(flow)
    assert (refusal["status"], refusal["cause"], refusal["executed"]) == (503, "gateway-timeout", executed)


async def test_an_outcome_that_never_becomes_durable_withholds_the_answer(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = asyncio.timeout
    flow = flow_for(await tunnelled(gateway))
    before(gateway, "response", "Record", lambda _: monkeypatch.setattr(gateway.client, "append", forever))
    monkeypatch.setattr(guard, "asyncio", type("Short", (), {"timeout": staticmethod(lambda _: real(0.2))}))
    sent, _ = await lead(gateway, flow)
    assert sent is not None
    refusal = problem(flow)
    assert (refusal["status"], refusal["executed"]) == (502, "yes")


NOTHING = {
    "Interpret": ["token", "target", "policy"],
    "Authorize": ["action", "policy", "target"],
    "Redact": ["action", "target", "decision"],
    "Hold": ["action", "decision", "token"],
    "Record": ["action", "decision", "token", "target", "policy"],
    "Dial": ["target", "intent"],
    "Inject": ["decision", "intent", "target", "generation"],
}


@pytest.mark.parametrize(("step", "missing"), [(step, field) for step, fields in NOTHING.items() for field in fields])
async def test_a_step_that_finds_nothing_on_the_way(gateway: Gateway, step: str, missing: str) -> None:
    flow = flow_for(await tunnelled(gateway), "DELETE" if step == "Hold" else "GET")
    before(gateway, "request", step, lambda f: setattr(gateway.chain.exchanges.of(f), missing, None))
    sent, _ = await lead(gateway, flow)
    if (step, missing) == ("Inject", "intent"):
        assert sent is None  # the intent is durable, and now nobody knows of it: it stays unknown
        assert not is_armed(gateway, flow)
        assert problem(flow)["executed"] == "no"
    else:
        await assert_refused_unsent(gateway, flow, sent)


async def test_a_hold_that_is_skipped_lets_nothing_pass(gateway: Gateway) -> None:
    hooks = dict(gateway.chain.hooks)
    hooks["request"] = tuple(call for call in hooks["request"] if step_of(call) != "Hold")
    gateway.chain.hooks = hooks
    flow = flow_for(await tunnelled(gateway), "DELETE")
    sent, _ = await lead(gateway, flow)
    assert (await assert_refused_unsent(gateway, flow, sent))["cause"] == "undecided"


@pytest.mark.parametrize("step", ["Authenticate", "Interpret", "Authorize", "Record"])
async def test_without_one_of_the_steps_that_decide_nothing_is_sent(gateway: Gateway, step: str) -> None:
    flow = flow_for(await tunnelled(gateway))
    hooks = {name: tuple(c for c in calls if step_of(c) != step) for name, calls in gateway.chain.hooks.items()}
    gateway.chain.hooks = hooks
    sent, _ = await lead(gateway, flow)
    assert sent is None
    assert not is_armed(gateway, flow)
    assert problem(flow)["executed"] == "no"


@pytest.mark.parametrize(
    ("step", "field", "value"),
    [
        ("Redact", "target", None),
        ("Redact", "intent", None),
        ("Record", "cleared", False),
        ("Inject", "cleared", False),
        ("Inject", "recorded", False),
    ],
)
async def test_a_step_that_finds_nothing_on_the_way_back(
    gateway: Gateway, step: str, field: str, value: object
) -> None:
    flow = flow_for(await tunnelled(gateway))
    before(gateway, "response", step, lambda f: setattr(gateway.chain.exchanges.of(f), field, value))
    await lead(gateway, flow)
    refusal = problem(flow)
    assert (refusal["status"], refusal["cause"], refusal["executed"]) == (502, "uncleared", "yes")


async def test_an_answer_that_vanished_is_a_refusal(gateway: Gateway) -> None:
    flow = flow_for(await tunnelled(gateway))
    before(gateway, "response", "Redact", lambda f: setattr(f, "response", None))
    await lead(gateway, flow)
    assert problem(flow)["cause"] == "uncleared"


async def test_a_response_that_another_addon_set_is_not_sent_as_ours(gateway: Gateway) -> None:
    flow = flow_for(await tunnelled(gateway))
    before(gateway, "request", "Inject", lambda f: setattr(f, "response", http.Response.make(200, b"forged")))
    sent, _ = await lead(gateway, flow)
    await assert_refused_unsent(gateway, flow, sent)


# Hooks over real sockets: a hook that raises past the guard, or has none, ends the connection.


def break_hook(gateway: Gateway, hook: str) -> None:
    def broken(_: object) -> None:
        raise RuntimeError(SECRET)

    hooks: Any = gateway.chain.hooks  # in place, for connections that are open
    hooks[hook] = (broken,)


@pytest.mark.parametrize(
    "hook", ["requestheaders", "request", "server_connect", "responseheaders", "response", "tls_start_client"]
)
async def test_a_hook_that_raises_past_the_guard_closes_the_connection(
    gateway: Gateway, target: RawTarget, hook: str, caplog: pytest.LogCaptureFixture
) -> None:
    if hook == "tls_start_client":
        break_hook(gateway, hook)
        with pytest.raises((OSError, TimeoutError)):
            await gateway.tunnel()
        return
    agent = await gateway.tunnel()
    break_hook(gateway, hook)
    await agent.send(get())
    assert await agent.closed() == b""
    assert bool(target.got) == (hook in ("responseheaders", "response"))
    assert SECRET not in caplog.text
    kind = "request.refused" if hook in ("requestheaders", "request") else "request.outcome"
    entry = await gateway.entry(kind, cause="gateway-error")
    assert entry.fields["executed"] == {"responseheaders": "unknown", "response": "yes"}.get(hook, "no")
