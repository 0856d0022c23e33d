import pytest

from doorward.errors import Misconfigured
from doorward.oidc.issuer import Issuer, is_safe_url


@pytest.mark.parametrize(
    "url",
    [
        "https://idp.example",
        "https://idp.example:8443/realms/one",
        "https://10.0.0.1/",
        "http://127.0.0.1:9400",
        "http://127.8.8.8",
        "http://[::1]:9400/x",
        "http://localhost:9400",
    ],
)
def test_a_url_to_trust(url: str) -> None:
    assert is_safe_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "idp.example",
        "http://idp.example",
        "http://10.0.0.1",
        "http://localhost.evil.example",
        "http://0.0.0.0",
        "ftp://127.0.0.1",
        "file:///etc/passwd",
        "https://",
        "https://user@idp.example",
        "https://idp.example#x",
        "https://idp.example:port",
        "https://idp.example:99999",
        "https://[::1",
        "https://idp.exämple",
        "https://idp.example/a b",
        "https://idp.example/\n",
    ],
)
def test_a_url_to_refuse(url: str) -> None:
    assert not is_safe_url(url)
    with pytest.raises(Misconfigured) as caught:
        Issuer("corp", url, "doorward")
    assert caught.value.cause == "issuer-url"


def test_an_issuer_has_no_query() -> None:
    with pytest.raises(Misconfigured):
        Issuer("corp", "https://idp.example?x", "doorward")


@pytest.mark.parametrize("algorithms", [(), ("HS256",), ("none",), ("RS256", "HS512"), ("rs256",)])
def test_only_signatures_by_a_private_key_can_be_allowed(algorithms: tuple[str, ...]) -> None:
    with pytest.raises(Misconfigured) as caught:
        Issuer("corp", "https://idp.example", "doorward", algorithms)
    assert caught.value.cause == "issuer-algorithms"


def test_an_issuer_needs_an_audience() -> None:
    with pytest.raises(Misconfigured) as caught:
        Issuer("corp", "https://idp.example", "")
    assert caught.value.cause == "issuer-audience"
