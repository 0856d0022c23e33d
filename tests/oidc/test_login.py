import base64
import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from doorward.errors import DoorwardError, Unauthenticated, Unavailable
from doorward.model import Principal
from doorward.oidc.issuer import Issuer
from doorward.oidc.keys import Providers
from doorward.oidc.login import LoginFlow, PendingLogin
from doorward.oidc.verify import TokenVerifier
from tests.parts.mock_provider import MockProvider, authorize_by_form, choose_user
from tests.parts.provider import Provider

REDIRECT = "http://127.0.0.1:8081/oidc/callback"
CLIENT = "doorward-console"


def flow_for(
    provider: Provider | MockProvider, *, secret: str | None = "console secret/1", **changes: Any
) -> LoginFlow:
    issuer = Issuer("corp", provider.url, "doorward", **changes)
    return LoginFlow(issuer, CLIENT, secret, REDIRECT, timeout_s=2)


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def browse(url: str) -> dict[str, str]:
    """Be the browser of somebody who says yes; the parameters that the console gets."""
    with httpx.Client(trust_env=False, verify=False) as client:
        return query_of(client.get(url).headers["Location"])


async def begin(flow: LoginFlow) -> tuple[PendingLogin, dict[str, str]]:
    url, pending = await flow.start()
    return pending, browse(url)


async def refusal(flow: LoginFlow, pending: PendingLogin, params: dict[str, str]) -> DoorwardError:
    with pytest.raises((Unauthenticated, Unavailable)) as caught:
        await flow.finish(pending, params)
    assert caught.value.hint
    return caught.value


async def test_a_person_logs_in(provider: Provider) -> None:
    flow = flow_for(provider)
    pending, params = await begin(flow)
    person = await flow.finish(pending, params)
    assert person == Principal("corp", "alice", ("corp:staff",), None)


async def test_the_request_carries_pkce_state_and_nonce(provider: Provider) -> None:
    provider.metadata["authorization_endpoint"] = f"{provider.url}/authorize?tenant=a%20b"
    url, pending = await flow_for(provider).start()
    query = query_of(url)
    assert query["tenant"] == "a b"
    assert (query["response_type"], query["client_id"], query["redirect_uri"]) == ("code", CLIENT, REDIRECT)
    assert (query["state"], query["nonce"]) == (pending.state, pending.nonce)
    assert query["code_challenge_method"] == "S256"
    assert pending.verifier not in url
    assert query["scope"] == "openid"
    for secret in (pending.state, pending.nonce, pending.verifier):
        assert secret not in repr(pending)


async def test_the_scope_for_groups_is_asked_for_where_it_exists(provider: Provider) -> None:
    provider.metadata["scopes_supported"] = ["openid", "groups"]
    url, _ = await flow_for(provider).start()
    assert query_of(url)["scope"] == "openid groups"


@pytest.mark.parametrize("methods", [None, ["client_secret_post"], ["client_secret_basic", "client_secret_post"]])
async def test_the_client_proves_itself_as_the_provider_asks(provider: Provider, methods: list[str] | None) -> None:
    provider.metadata["token_endpoint_auth_methods_supported"] = methods
    provider.client_secret = "console+secret%2F1" if methods != ["client_secret_post"] else "console secret/1"
    flow = flow_for(provider)
    assert (await flow.finish(*await begin(flow))).subject == "alice"
    if methods == ["client_secret_post"]:
        assert provider.authorization is None
    else:
        assert provider.authorization is not None
        assert base64.b64decode(provider.authorization[6:]) == b"doorward-console:console+secret%2F1"


async def test_a_public_client_sends_its_id_alone(provider: Provider) -> None:
    flow = flow_for(provider, secret=None)
    assert (await flow.finish(*await begin(flow))).subject == "alice"
    assert provider.authorization is None


async def test_a_long_lived_id_token_is_no_harm(provider: Provider) -> None:
    provider.id_claims = {"lifetime_s": 86400}
    flow = flow_for(provider)
    assert (await flow.finish(*await begin(flow))).subject == "alice"


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"state": "x"}, "login-state"),
        ({"state": None}, "login-state"),
        ({"iss": "https://evil.example"}, "login-issuer"),
        ({"iss": None}, "login-issuer"),
        ({"error": "access_denied", "code": None}, "login-denied"),
        ({"code": None}, "login-malformed"),
        ({"code": ""}, "login-malformed"),
        ({"code": "guessed"}, "login-code"),
    ],
)
async def test_an_answer_that_does_not_fit_is_refused(
    provider: Provider, changes: dict[str, str | None], cause: str
) -> None:
    flow = flow_for(provider)
    pending, params = await begin(flow)
    answer = {name: value for name, value in {**params, **changes}.items() if value is not None}
    assert (await refusal(flow, pending, answer)).cause == cause


async def test_an_issuer_in_the_answer_is_checked_even_where_none_was_announced(provider: Provider) -> None:
    provider.sends_iss = False
    flow = flow_for(provider)
    pending, params = await begin(flow)
    assert "iss" not in params
    assert (await refusal(flow, pending, {**params, "iss": "https://evil.example"})).cause == "login-issuer"
    assert (await flow.finish(pending, params)).subject == "alice"


async def test_the_answer_of_one_login_does_not_end_another(provider: Provider) -> None:
    flow = flow_for(provider)
    first, params = await begin(flow)
    second, _ = await begin(flow)
    assert (await refusal(flow, second, params)).cause == "login-state"
    stolen = dataclasses.replace(second, state=first.state)
    assert (await refusal(flow, stolen, params)).cause == "login-code"  # PKCE


async def test_a_code_is_good_once(provider: Provider) -> None:
    flow = flow_for(provider)
    pending, params = await begin(flow)
    await flow.finish(pending, params)
    assert (await refusal(flow, pending, params)).cause == "login-code"


async def test_a_wrong_client_secret_is_not_shown(provider: Provider) -> None:
    provider.client_secret = "another"
    flow = flow_for(provider)
    error = await refusal(flow, *await begin(flow))
    assert error.cause == "login-code"
    assert "console secret" not in str(error)
    assert "client_secret" in error.hint


@pytest.mark.parametrize(
    ("claims", "cause"),
    [
        ({"nonce": "other"}, "login-nonce"),
        ({"nonce": None}, "login-nonce"),
        ({"aud": "doorward"}, "wrong-audience"),
        ({"aud": [CLIENT, "other"]}, "wrong-audience"),
        ({"aud": [CLIENT, "other"], "azp": "other"}, "wrong-audience"),
        ({"azp": "other"}, "wrong-audience"),
        ({"iss": "https://evil.example"}, "unknown-issuer"),
        ({"lifetime_s": 60, "age_s": 120}, "token-expired"),
        ({"sub": ""}, "token-malformed"),
    ],
)
async def test_a_bad_id_token_logs_nobody_in(provider: Provider, claims: dict[str, Any], cause: str) -> None:
    provider.id_claims = claims
    flow = flow_for(provider)
    assert (await refusal(flow, *await begin(flow))).cause == cause


async def test_several_audiences_need_an_authorized_party(provider: Provider) -> None:
    provider.id_claims = {"aud": [CLIENT, "other"], "azp": CLIENT}
    flow = flow_for(provider)
    assert (await flow.finish(*await begin(flow))).subject == "alice"


@pytest.mark.parametrize(
    ("mint", "cause"),
    [
        (Provider.unsigned_token, "algorithm-not-allowed"),
        (Provider.confused_token, "algorithm-not-allowed"),
        (Provider.forged_token, "bad-signature"),
        (lambda *_, **__: "opaque", "token-malformed"),
    ],
    ids=["unsigned", "confused", "forged", "opaque"],
)
async def test_a_forged_id_token_logs_nobody_in(provider: Provider, mint: Callable[..., str], cause: str) -> None:
    flow = flow_for(provider)
    pending, params = await begin(flow)
    provider.id_token = mint(provider, sub="alice", aud=CLIENT, nonce=pending.nonce)
    assert (await refusal(flow, pending, params)).cause == cause


async def test_no_id_token_is_no_login(provider: Provider) -> None:
    provider.sends_id_token = False
    flow = flow_for(provider)
    assert (await refusal(flow, *await begin(flow))).cause == "login-malformed"


async def test_the_audience_of_agents_is_not_the_consoles(provider: Provider) -> None:
    flow = flow_for(provider)
    pending, params = await begin(flow)
    provider.id_token = provider.token("agent-7", nonce=pending.nonce)
    assert (await refusal(flow, pending, params)).cause == "wrong-audience"


async def test_new_keys_of_the_provider_serve_the_next_login(provider: Provider) -> None:
    flow = flow_for(provider)
    await flow.finish(*await begin(flow))
    provider.rotate("ES256")
    assert (await flow.finish(*await begin(flow))).subject == "alice"
    assert provider.requests.count("GET /.well-known/openid-configuration") == 1


async def test_a_provider_that_is_away_is_said_so(provider: Provider) -> None:
    flow = flow_for(provider)
    provider.go_away()
    with pytest.raises(Unavailable) as caught:
        await flow.start()
    assert caught.value.cause == "provider-away"


@pytest.mark.parametrize("endpoint", ["authorization_endpoint", "token_endpoint"])
async def test_a_provider_without_the_code_flow_is_said_so(provider: Provider, endpoint: str) -> None:
    provider.metadata[endpoint] = None
    flow = flow_for(provider)
    with pytest.raises(Unavailable, match=endpoint):
        await flow.finish(*await begin(flow))


async def test_logging_in_at_the_real_oidc_provider_mock() -> None:
    with MockProvider({"bob": {"groups": ["sre", "staff"], "email": "bob@example.com"}}) as provider:
        flow = flow_for(provider)
        url, pending = await flow.start()
        params = query_of(choose_user(url, "bob"))
        person = await flow.finish(pending, params)
        assert person == Principal("corp", "bob", ("corp:sre", "corp:staff"), None)
        assert (await refusal(flow, pending, params)).cause == "login-code"


async def test_an_agents_token_by_a_scripted_code_flow() -> None:
    with MockProvider({"agent-7": {"groups": ["agents"], "owner": "alice"}}) as provider:
        issuer = Issuer("corp", provider.url, "doorward", ("RS256",), owner_claim="owner")
        token = authorize_by_form(provider.url, client_id="doorward", sub="agent-7")
        async with Providers([issuer]) as providers:
            verified = TokenVerifier([issuer], providers.rings, {}).verify(token, datetime.now(UTC))
    assert verified.principal == Principal("corp", "agent-7", ("corp:agents",), "corp:alice")
