import pytest

from doorward.core.redaction.names import is_secret_name, mask_headers, mask_query
from tests.core.redaction.reference import REPLACER

S = REPLACER.sentinel


@pytest.mark.parametrize(
    "name",
    [
        "Authorization", "proxy-authorization", "Cookie", "SET-COOKIE", "password", "X-Api-Key", "api_key", "apiKey",
        "APIKEY", "access_token", "accessToken", "X-Auth-Token", "client-secret", "client_secret", "token", "key",
        "secret", "user[password]", "auth.token", "X-Amz-Signature", "X-Amz-Credential", "sig", "%74oken",
        "%2574oken", "idempotency-key",
    ],
)  # fmt: skip
def test_secret_names(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["Accept", "Content-Type", "page", "monkey", "tokens-left", "keyword", "design", "", "[]"]
)
def test_names_that_are_not_secret(name: str) -> None:
    assert not is_secret_name(name)


def test_headers_by_name() -> None:
    headers = [("X-Email", "a@example.org"), ("x-email", "b"), ("Accept", "*/*")]
    assert mask_headers(headers, ["X-EMAIL"], REPLACER) == [("X-Email", S), ("x-email", S), ("Accept", "*/*")]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ""),
        ("page=1", "page=1"),
        ("email=a%40b&page=1", f"email={S}&page=1"),
        ("EMail=a", f"EMail={S}"),
        ("%65mail=a", f"%65mail={S}"),
        ("%2565mail=a", f"%2565mail={S}"),
        ("filter[email]=a&filter[x]=b", f"filter[email]={S}&filter[x]=b"),
        ("email=a;b=c;d&page=1", f"email={S};{S};{S}&page=1"),
        ("page=1;email=a", f"page=1;email={S}"),
        ("email", "email"),
        ("email=", f"email={S}"),
        ("email=a=b", f"email={S}"),
        ("a=email", "a=email"),
    ],
)
def test_query_by_name(query: str, expected: str) -> None:
    assert mask_query(query, ["email"], REPLACER) == expected
