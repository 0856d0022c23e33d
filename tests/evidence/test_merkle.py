import hashlib

import pytest

from doorward.evidence.merkle import leaf_hash

# the leaves that RFC 6962 implementations test with (certificate-transparency, merkle_tree_test)
KNOWN = [
    pytest.param(b"", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d", id="empty"),
    pytest.param(b"\x00", "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7", id="one byte"),
    pytest.param(b"\x10", "0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7", id="another byte"),
    pytest.param(b"\x20\x21", "07506a85fd9dd2f120eb694f86011e5bb4662e5c415a62917033d4a9624487e7", id="two bytes"),
]


@pytest.mark.parametrize(("entry", "expected"), KNOWN)
def test_leaf_hash_is_that_of_the_rfc(entry: bytes, expected: str) -> None:
    assert leaf_hash(entry).hex() == expected


def test_leaf_hash_is_not_the_hash_of_the_entry() -> None:
    assert leaf_hash(b"entry") != hashlib.sha256(b"entry").digest()
