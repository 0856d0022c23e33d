import datetime

import pytest
from cryptography.hazmat.primitives import serialization

from doorward.errors import Misconfigured
from doorward.pki.authority import Authority, parse_authority
from doorward.pki.root import make_root
from tests.parts.tokens import private_key

NOW = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def root() -> Authority:
    return make_root(NOW)


def pem_of(algorithm: str, encryption: serialization.KeySerializationEncryption) -> bytes:
    key = private_key(algorithm)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def test_an_authority_is_read_back(root: Authority) -> None:
    read = parse_authority(root.key_pem(), root.certificate_pem(), where="root")
    assert read.certificate == root.certificate
    assert read.key_pem() == root.key_pem()


def test_the_key_does_not_show(root: Authority) -> None:
    assert "key" not in repr(root).lower()


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"garbage",
        make_root(NOW).key_pem(),
        pem_of("RS256", serialization.NoEncryption()),
        pem_of("ES256", serialization.BestAvailableEncryption(b"passphrase")),
    ],
    ids=["empty", "garbage", "another key", "RSA", "encrypted"],
)
def test_a_key_that_does_not_belong_is_refused(root: Authority, key: bytes) -> None:
    with pytest.raises(Misconfigured) as caught:
        parse_authority(key, root.certificate_pem(), where="root-key.pem")
    assert caught.value.cause == "ca-unreadable"
    assert caught.value.where == "root-key.pem"


def test_a_certificate_that_is_none_is_refused(root: Authority) -> None:
    with pytest.raises(Misconfigured):
        parse_authority(root.key_pem(), b"garbage", where="root.pem")
