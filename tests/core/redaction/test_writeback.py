import base64
import json
from urllib.parse import quote

import pytest

from doorward.core.redaction.writeback import carries_sentinel
from tests.core.redaction.reference import REPLACER

S = REPLACER.sentinel


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"email": S}).encode(),
        S.encode(),
        ("".join(f"\\u{ord(character):04X}" for character in S)).encode(),
        S.replace("d", "\\u0064").encode(),
        quote(S).replace("-", "%2D").encode(),
        "".join(f"%{ord(character):02x}" for character in S).encode(),
        base64.b64encode(S.encode()),
        base64.b64encode(b"x" + S.encode()),
        base64.urlsafe_b64encode(b"xy" + S.encode() + b"z"),
        json.dumps({"inner": json.dumps({"email": S})}).encode(),
    ],
)
def test_a_body_with_the_sentinel(body: bytes) -> None:
    assert carries_sentinel(body, S)


@pytest.mark.parametrize("body", [b"", b"doorward-masked-", S[:-1].encode(), b'{"email":"a@example.org"}'])
def test_a_body_without_it(body: bytes) -> None:
    assert not carries_sentinel(body, S)
