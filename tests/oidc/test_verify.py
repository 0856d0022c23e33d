import dataclasses
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from doorward.errors import Misconfigured, Unauthenticated
from doorward.model import Principal
from doorward.oidc.issuer import Issuer
from doorward.oidc.keys import KeyTiming, Providers
from doorward.oidc.verify import TokenVerifier
from tests.parts.provider import Provider
from tests.parts.tokens import SigningKey, private_key

TIMING = KeyTiming(refresh_s=60, retry_s=0.02, forced_every_s=0.0, timeout_s=1.0)


def now() -> datetime:
    return datetime.now(UTC)


def issuer_of(provider: Provider, **changes: Any) -> Issuer:
    settings: dict[str, Any] = {"algorithms": ("RS256", "ES256", "EdDSA"), "longest_s": 3600, "owner_claim": "owner"}
    return Issuer("corp", provider.url, "doorward", **{**settings, **changes})


@dataclasses.dataclass
class Bench:
    verifier: TokenVerifier
    providers: Providers

    def cause(self, token: str, at: datetime | None = None) -> str:
        with pytest.raises(Unauthenticated) as caught:
            self.verifier.verify(token, at or now())
        assert caught.value.hint
        assert token not in str(caught.value) or not token
        return caught.value.cause


@pytest_asyncio.fixture
async def bench(provider: Provider) -> AsyncIterator[Bench]:
    issuer = issuer_of(provider)
    async with Providers([issuer], timing=TIMING) as providers:
        yield Bench(TokenVerifier([issuer], providers.rings, {"corp:agent-7": "corp:alice"}), providers)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_good_token_names_its_principal(algorithm: str) -> None:
    with Provider(algorithm) as provider:
        issuer = issuer_of(provider)
        async with Providers([issuer], timing=TIMING) as providers:
            verifier = TokenVerifier([issuer], providers.rings, {})
            token = provider.token("agent-7", groups=["agents", "night"], jti="t-1", owner="bob")
            verified = verifier.verify(token, now())
    assert verified.principal == Principal("corp", "agent-7", ("corp:agents", "corp:night"), "corp:bob")
    assert verified.token_id == "t-1"
    assert verified.expires_at > now()
    assert len(verified.session) == 24


async def test_the_owner_may_stand_in_the_settings(bench: Bench, provider: Provider) -> None:
    assert bench.verifier.verify(provider.token(), now()).principal.owner == "corp:alice"


BAD: list[tuple[str, str, Callable[[Provider], str]]] = [
    ("expired", "token-expired", lambda p: p.expired_token()),
    ("expires just now", "token-expired", lambda p: p.token(age_s=600, lifetime_s=600)),
    ("issued ahead", "token-early", lambda p: p.early_token()),
    ("not yet valid", "token-early", lambda p: p.token(nbf=int(now().timestamp()) + 300)),
    ("lives a day", "token-too-long-lived", lambda p: p.long_lived_token()),
    ("another audience", "wrong-audience", lambda p: p.token(aud="console")),
    ("other audiences", "wrong-audience", lambda p: p.token(aud=["console", "doorward "])),
    ("part of the audience", "wrong-audience", lambda p: p.token(aud="door")),
    ("no list of audiences", "wrong-audience", lambda p: p.token(aud={"doorward": 1})),
    ("another issuer", "unknown-issuer", lambda p: p.token(iss="https://evil.example")),
    ("the issuer with a slash", "unknown-issuer", lambda p: p.token(iss=p.url + "/")),
    ("no issuer", "unknown-issuer", lambda p: p.token(iss=None)),
    ("unsigned", "algorithm-not-allowed", lambda p: p.unsigned_token()),
    ("HMAC with the public key", "algorithm-not-allowed", lambda p: p.confused_token()),
    (
        "not on the list",
        "algorithm-not-allowed",
        lambda p: SigningKey("k", "PS256", private_key("RS256")).sign(p.claims()),
    ),
    ("a stranger's key", "bad-signature", lambda p: p.forged_token()),
    ("an unknown key", "unknown-key", lambda p: p.token(headers={"kid": "other"})),
    (
        "a key of another type",
        "unknown-key",
        lambda p: SigningKey("RS256-0", "ES256", private_key("ES256")).sign(p.claims()),
    ),
    ("no expiry", "token-malformed", lambda p: p.token(exp=None)),
    ("no time of issue", "token-malformed", lambda p: p.token(iat=None)),
    ("no subject", "token-malformed", lambda p: p.token(sub=None)),  # type: ignore[arg-type]
    ("groups of no text", "token-malformed", lambda p: p.token(groups=[1])),
    ("empty", "token-malformed", lambda p: ""),
    ("opaque", "token-malformed", lambda p: "s3cr3t-0paque"),
]


@pytest.mark.parametrize(("cause", "make"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
async def test_a_bad_token_is_refused_by_its_own_cause(
    bench: Bench, provider: Provider, cause: str, make: Callable[[Provider], str]
) -> None:
    assert bench.cause(make(provider)) == cause


async def test_the_message_says_what_was_expected_and_what_came(bench: Bench, provider: Provider) -> None:
    with pytest.raises(Unauthenticated, match="audience 'console', expected 'doorward'"):
        bench.verifier.verify(provider.token(aud="console"), now())


async def test_foreign_text_is_cut_short_in_messages(bench: Bench, provider: Provider) -> None:
    with pytest.raises(Unauthenticated) as caught:
        bench.verifier.verify(provider.token(iss="https://e.example/\n" + "x" * 5000), now())
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


async def test_a_remembered_token_still_expires(bench: Bench, provider: Provider) -> None:
    token = provider.token(lifetime_s=600)
    first = bench.verifier.verify(token, now())
    assert bench.verifier.verify(token, now()) is first
    assert bench.cause(token, now() + timedelta(seconds=601)) == "token-expired"


async def test_a_remembered_token_goes_with_its_key(bench: Bench, provider: Provider) -> None:
    token = provider.token()
    bench.verifier.verify(token, now())
    provider.rotate()
    assert await bench.providers.rings["corp"].refreshed(wait_s=2)
    assert bench.cause(token) == "unknown-key"


async def test_keys_fetched_again_unchanged_keep_what_is_remembered(bench: Bench, provider: Provider) -> None:
    token = provider.token()
    first = bench.verifier.verify(token, now())
    assert await bench.providers.rings["corp"].refreshed(wait_s=2)
    assert bench.verifier.verify(token, now()) is first


async def test_what_is_remembered_is_bounded(bench: Bench, provider: Provider) -> None:
    verifier = TokenVerifier([issuer_of(provider)], bench.providers.rings, {}, most_remembered=2)
    tokens = [provider.token(jti=str(number)) for number in range(3)]
    first = [verifier.verify(token, now()) for token in tokens]
    assert verifier.verify(tokens[2], now()) is first[2]
    assert verifier.verify(tokens[0], now()) is not first[0]


@pytest.mark.parametrize("jti", [None, 7, "", "x" * 201, "a\nb"], ids=["none", "number", "empty", "long", "control"])
async def test_without_a_plain_jti_the_hash_names_the_token(bench: Bench, provider: Provider, jti: object) -> None:
    token = provider.token(jti=jti)
    verified = bench.verifier.verify(token, now())
    assert verified.token_id.startswith("sha256:")
    assert len(verified.token_id) == 7 + 64


async def test_the_session_is_the_same_for_another_verifier_and_another_spelling(
    bench: Bench, provider: Provider
) -> None:
    token = provider.token()
    other = TokenVerifier([bench.providers.rings["corp"].issuer], bench.providers.rings, {})
    padded = token + "=="  # PyJWT takes a padded signature
    sessions = {
        verifier.verify(text, now()).session for verifier in (bench.verifier, other) for text in (token, padded)
    }
    assert len(sessions) == 1
    assert bench.verifier.verify(provider.token(jti="2"), now()).session not in sessions


async def test_patience_reads_the_new_key(bench: Bench, provider: Provider) -> None:
    provider.rotate()
    verified = await bench.verifier.verify_patiently(provider.token(), now())
    assert verified.principal.subject == "agent-7"


async def test_patience_is_for_missing_keys_alone(bench: Bench, provider: Provider) -> None:
    with pytest.raises(Unauthenticated) as caught:
        await bench.verifier.verify_patiently(provider.expired_token(), now())
    assert caught.value.cause == "token-expired"
    assert provider.requests.count("GET /jwks") == 1


async def test_patience_ends_with_the_first_error_when_no_key_comes(bench: Bench, provider: Provider) -> None:
    provider.go_away()
    with pytest.raises(Unauthenticated) as caught:
        await bench.verifier.verify_patiently(provider.token(headers={"kid": "other"}), now())
    assert caught.value.cause == "unknown-key"


async def test_a_provider_that_is_away_is_named_and_comes_back(provider: Provider) -> None:
    provider.go_away()
    issuer = issuer_of(provider)
    async with Providers([issuer], timing=TIMING) as providers:
        verifier = TokenVerifier([issuer], providers.rings, {})
        token = provider.token()
        with pytest.raises(Unauthenticated, match="could not be reached") as caught:
            verifier.verify(token, now())
        assert caught.value.cause == "provider-away"
        assert "runs" in caught.value.hint
        provider.come_back()
        assert (await verifier.verify_patiently(token, now())).principal.subject == "agent-7"


async def test_keys_serve_while_the_provider_is_away_but_not_for_ever(bench: Bench, provider: Provider) -> None:
    provider.go_away()
    token = provider.token(lifetime_s=3000)
    bench.verifier.verify(token, now())
    later = now() + timedelta(hours=24, seconds=5)
    token = provider.token(age_s=-86400)
    assert bench.cause(token, later) == "provider-away"


async def test_two_issuers_do_not_speak_for_one_another(provider: Provider) -> None:
    with Provider() as second:
        issuers = [issuer_of(provider), dataclasses.replace(issuer_of(second), alias="other")]
        second.rotate()
        async with Providers(issuers, timing=TIMING) as providers:
            verifier = TokenVerifier(issuers, providers.rings, {})
            assert verifier.verify(second.token(), now()).principal.name == "other:agent-7"
            borrowed = second.keys[0].sign(provider.claims(), {"kid": provider.keys[0].kid})
            with pytest.raises(Unauthenticated) as caught:
                verifier.verify(borrowed, now())
    assert caught.value.cause == "bad-signature"


def test_one_issuer_has_one_alias() -> None:
    issuer = Issuer("corp", "https://idp.example", "doorward")
    with pytest.raises(Misconfigured) as caught:
        TokenVerifier([issuer, dataclasses.replace(issuer, alias="other", audience="more")], {}, {})
    assert caught.value.cause == "issuer-twice"
