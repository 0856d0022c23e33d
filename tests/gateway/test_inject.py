import pytest

from doorward.errors import Refused, Unavailable
from tests.parts.flows import answer, finish, flow_for, lead, problem, run, tunnelled
from tests.parts.gateway import SECRET, Gateway
from tests.parts.policies import policy_for
from tests.parts.raw_target import RawTarget


async def test_the_secret_is_in_the_copy_alone(gateway: Gateway) -> None:
    flow = flow_for(await tunnelled(gateway))
    sent, _ = await lead(gateway, flow)
    assert sent is not None
    assert sent.headers["authorization"] == f"Bearer {SECRET}"
    assert sent is not flow.request
    assert "authorization" not in flow.request.headers
    assert SECRET not in repr(flow.get_state())


async def test_a_request_is_armed_once(gateway: Gateway) -> None:
    flow = flow_for(await tunnelled(gateway))
    await lead(gateway, flow)
    with pytest.raises(KeyError):
        gateway.chain.wire(flow)


async def test_a_target_without_a_credential_gets_none(gateway: Gateway, target: RawTarget) -> None:
    policy = policy_for(target)
    del policy["targets"]["billing"]["credential"]
    gateway.policy = gateway.read_policy(policy)
    sent, _ = await lead(gateway, flow_for(await tunnelled(gateway)))
    assert sent is not None
    assert "authorization" not in sent.headers


async def test_a_secret_that_changed_since_the_decision_is_not_sent(gateway: Gateway) -> None:
    flow = flow_for(await tunnelled(gateway))
    await run(gateway, "requestheaders", flow)
    for call in gateway.chain.hooks["request"][:-1]:
        await finish(call(flow))
    gateway.credential.secret = "another-secret-of-the-target"
    await finish(gateway.chain.hooks["request"][-1](flow))
    assert (problem(flow)["status"], problem(flow)["cause"]) == (503, "credential-rotated")
    with pytest.raises(KeyError):
        gateway.chain.wire(flow)


async def test_a_secret_that_cannot_be_read_is_an_outcome(gateway: Gateway) -> None:
    flow = flow_for(await tunnelled(gateway))
    await run(gateway, "requestheaders", flow)
    for call in gateway.chain.hooks["request"][:-1]:
        await finish(call(flow))
    gateway.credential.error = Unavailable("it cannot be read", cause="credential-unreadable")
    await finish(gateway.chain.hooks["request"][-1](flow))
    await run(gateway, "response", flow)
    (outcome,) = gateway.entries("request.outcome")
    assert (outcome.fields["cause"], outcome.fields["executed"]) == ("credential-unreadable", "no")


async def test_a_refusal_that_came_while_the_answer_was_on_its_way_replaces_it(gateway: Gateway) -> None:
    flow = flow_for(await tunnelled(gateway))
    await run(gateway, "requestheaders", flow)
    await run(gateway, "request", flow)
    gateway.chain.wire(flow)
    gateway.chain.exchanges.of(flow).refusal = Refused("blocked meanwhile", cause="principal-blocked")
    flow.response = answer({"email": "ann@example.com"})
    await run(gateway, "responseheaders", flow)
    await run(gateway, "response", flow)
    assert (problem(flow)["status"], problem(flow)["cause"]) == (403, "principal-blocked")
    assert b"ann" not in (flow.response.content or b"")
