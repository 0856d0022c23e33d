"""Two providers that know agents of the same name: none speaks for the other."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.ledger.conftest import RunningLedger
from tests.parts.gateway import Agent, Gateway, get
from tests.parts.policies import policy_for
from tests.parts.provider import Provider
from tests.parts.raw_target import RawTarget
from tests.parts.tokens import SigningKey, encode_raw


@pytest.fixture(scope="module")
def other() -> Iterator[Provider]:
    """A second provider, as good as the first, with the same subjects and groups."""
    with Provider("ES256") as running:
        running.rotate("ES256", kid="ES256-0")  # another key than the first provider's, under the same name
        yield running


@pytest.fixture
async def gateway(
    tmp_path: Path,
    ledger: RunningLedger,  # the fixture
    provider: Provider,
    other: Provider,
    target: RawTarget,
) -> AsyncIterator[Gateway]:
    """Both are trusted; `corp:agents` may do something, `guests:agents` nothing."""
    issuers = {
        "corp": {"issuer": provider.url, "audience": provider.audience, "owner": "owner"},
        "guests": {"issuer": other.url, "audience": other.audience},
    }
    settings = {"issuers": issuers, "hold": {"wait": "1s"}}
    async with Gateway(tmp_path, ledger, provider, policy_for(target), **settings) as running:
        yield running


def connect(gateway: Gateway, token: str) -> bytes:
    authority = b"billing.internal:443"
    return b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (authority, authority, gateway.authorization(token))


async def cause_of(gateway: Gateway, token: str) -> str:
    agent: Agent = await gateway.connect()
    answer = await agent.ask(connect(gateway, token))
    assert answer.status == 407, answer
    return str(answer.problem["cause"])


async def test_the_same_subject_and_group_of_another_issuer_is_another(
    gateway: Gateway, target: RawTarget, other: Provider
) -> None:
    stranger = await gateway.tunnel(token=other.token("agent-7"))
    assert (await stranger.ask(get())).problem["cause"] == "policy"
    assert target.got == []
    assert (await (await gateway.tunnel()).ask(get())).status == 200
    await gateway.entry("request.refused", principal="guests:agent-7")


async def test_an_alias_in_a_subject_or_group_makes_no_other_issuer(
    gateway: Gateway, target: RawTarget, other: Provider
) -> None:
    for subject, groups in (
        ("corp:agent-7", ("corp:agents",)),
        ("agent-7", ("corp:agents", "agents", "guests:agents")),
    ):
        agent = await gateway.tunnel(token=other.token(subject, groups=groups))
        assert (await agent.ask(get())).problem["cause"] == "policy"
    assert target.got == []


async def test_a_key_of_one_issuer_signs_for_no_other(gateway: Gateway, provider: Provider, other: Provider) -> None:
    """The attacker has good tokens of one provider, and knows the names of the other's keys."""
    mine, theirs = other.keys[-1], provider.keys[-1]
    claims = provider.claims()
    for forged in (
        mine.sign(claims),  # my key, their claims
        SigningKey(theirs.kid, mine.algorithm, mine.key).sign(claims),  # under the name of theirs
        SigningKey(None, mine.algorithm, mine.key).sign(claims),
        mine.sign(claims, {"iss": other.url}),
    ):
        assert await cause_of(gateway, forged) in ("bad-signature", "unknown-key")


async def test_a_token_names_one_issuer(gateway: Gateway, provider: Provider, other: Provider) -> None:
    good = provider.token()
    head, _, signature = good.split(".")
    for issuer in ([provider.url, other.url], f"{provider.url}/", provider.url.upper(), f"{provider.url} ", None, ""):
        claims = {**provider.claims(), "iss": issuer}
        body = encode_raw({}, claims).split(".")[1]
        token = provider.keys[-1].sign(claims) if isinstance(issuer, str) else f"{head}.{body}.{signature}"
        assert await cause_of(gateway, token) in ("unknown-issuer", "token-malformed")


async def test_the_head_of_a_token_names_no_place_for_keys(
    gateway: Gateway, provider: Provider, other: Provider
) -> None:
    """`jku`, `x5u` and `jwk` are the attacker's words (RFC 7515, section 10.10)."""
    mine = other.keys[-1]
    before = list(other.requests)
    for header in ({"jku": f"{other.url}/jwks"}, {"x5u": f"{other.url}/jwks"}, {"jwk": mine.jwk()}):
        token = SigningKey(provider.keys[-1].kid, mine.algorithm, mine.key).sign(provider.claims(), header)
        assert await cause_of(gateway, token) in ("bad-signature", "token-malformed", "unknown-key")
    assert other.requests == before
    unsigned = encode_raw({"alg": "none", "kid": provider.keys[-1].kid}, provider.claims())
    assert await cause_of(gateway, unsigned) in ("algorithm-not-allowed", "token-malformed")
