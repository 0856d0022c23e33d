import pytest

from doorward.errors import Unavailable
from tests.parts.flows import flow_for, lead, problem, tunnelled
from tests.parts.gateway import Gateway


async def test_a_deny_names_its_rules(gateway: Gateway) -> None:
    flow = flow_for(await tunnelled(gateway), path="/v1/secrets/1")
    sent, _ = await lead(gateway, flow)
    assert sent is None
    refusal = problem(flow)
    assert (refusal["status"], refusal["cause"], refusal["rules"]) == (403, "policy", ["deny no secrets"])
    entry = await gateway.entry("request.refused", cause="policy", target="billing", verb="GET", status=403)
    assert entry.fields["rules"] == ["deny no secrets"]
    assert entry.fields["principal"] == "corp:agent-7"


async def test_the_intent_names_policy_rules_and_credential(gateway: Gateway) -> None:
    await lead(gateway, flow_for(await tunnelled(gateway)))
    (intent,) = gateway.entries("request.intent")
    assert intent.fields["policy"] == gateway.policy.digest
    assert intent.fields["rules"] == ["role reader"]
    assert intent.fields["credential"] == "target-token"
    assert intent.fields["generation"] == gateway.credential.generation()


async def test_the_digest_is_of_the_action_and_the_credential(gateway: Gateway) -> None:
    of = await tunnelled(gateway)
    digests = []
    for path in ("/v1/a", "/v1/a", "/v1/b"):
        _, exchange = await lead(gateway, flow_for(of, path=path))
        digests.append(exchange.digest)
    gateway.credential.secret = "another-secret-of-the-target"
    _, exchange = await lead(gateway, flow_for(of, path="/v1/a"))
    digests.append(exchange.digest)
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


async def test_a_credential_that_cannot_be_read_stops_the_request(gateway: Gateway) -> None:
    flow = flow_for(await tunnelled(gateway))
    gateway.credential.error = Unavailable("it cannot be read", cause="credential-unreadable")
    assert (await lead(gateway, flow))[0] is None
    assert (problem(flow)["status"], problem(flow)["cause"]) == (503, "credential-unreadable")


@pytest.mark.parametrize("groups", [[], ["strangers"]])
async def test_a_principal_without_a_role_gets_nothing(gateway: Gateway, groups: list[str]) -> None:
    agent = await gateway.tunnel(token=gateway.provider.token(groups=groups))
    answer = await agent.ask(b"GET /v1/a HTTP/1.1\r\nHost: billing.internal\r\n\r\n")
    assert (answer.status, answer.problem["rules"]) == (403, ["default deny"])
