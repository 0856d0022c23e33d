import pytest

from doorward.credentials.credential import CredentialSource, CredentialSpec
from doorward.errors import Misconfigured

KEY = b"k" * 32
SPEC = CredentialSpec("billing-token", "X-Api-Key", "{secret}", env="BILLING_TOKEN")


def test_a_variable_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BILLING_TOKEN", "first-secret-0123456789")
    source = CredentialSource(SPEC, KEY)
    assert "variable BILLING_TOKEN" in repr(source)
    first = source.load()
    assert first.reveal() == "first-secret-0123456789"
    monkeypatch.setenv("BILLING_TOKEN", "second-secret-0123456789")
    assert source.load() is first


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BILLING_TOKEN", raising=False)
    with pytest.raises(Misconfigured, match="BILLING_TOKEN") as caught:
        CredentialSource(SPEC, KEY).load()
    assert caught.value.cause == "secret-absent"


def test_an_unfit_variable_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BILLING_TOKEN", "s3cr3t-0123456789\udcff")
    with pytest.raises(Misconfigured, match="variable BILLING_TOKEN") as caught:
        CredentialSource(SPEC, KEY).load()
    assert "s3cr3t" not in str(caught.value)
