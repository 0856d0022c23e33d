import hashlib

import pytest

from doorward.core.plain_http import read_action, risk_of
from doorward.errors import Unclear
from doorward.model import Action, Principal, Risk, Target

AGENT = Principal(issuer="corp", subject="agent-7")
TARGET = Target(name="crm", scheme="http", host="::1", port=8090, hosts=(("crm.internal", 443),))


def read(method: str, raw_target: str = "/", body: bytes = b"") -> Action:
    headers = [("Host", "crm.internal"), ("Range", "bytes=0-1"), ("X-Key", "k"), ("Accept", "*/*")]
    return read_action(
        AGENT, TARGET, method, raw_target, headers, body, credential_header="X-Key", body_mask=True
    )  # fmt: skip


def test_the_one_reading_of_a_request() -> None:
    assert read("PATCH", "/v1/M%C3%BCller?a=%20b", b"{}") == Action(
        principal=AGENT,
        target="crm",
        target_url="http://[::1]:8090",
        protocol="http",
        verb="PATCH",
        path="/v1/Müller",
        raw_path="/v1/M%C3%BCller",
        query=(("a", " b"),),
        raw_query="a=%20b",
        headers=(("accept", "*/*"),),
        body_digest=hashlib.sha256(b"{}").hexdigest(),
        risk=Risk.MEDIUM,
    )


@pytest.mark.parametrize(
    "method", ["", "get", "Get", "GET ", "GE\nT", "GET\n", "CONNECT", "É", "1GET", "A" * 33], ids=ascii
)
def test_a_malformed_method_is_refused(method: str) -> None:
    with pytest.raises(Unclear) as caught:
        read(method)
    assert caught.value.cause == "method"


def test_options_of_everything_is_refused() -> None:
    with pytest.raises(Unclear) as caught:
        read("OPTIONS", "*")
    assert caught.value.cause == "not-a-path"


@pytest.mark.parametrize(
    ("method", "risk"),
    [
        ("GET", Risk.LOW),
        ("HEAD", Risk.LOW),
        ("OPTIONS", Risk.LOW),
        ("TRACE", Risk.LOW),
        ("POST", Risk.MEDIUM),
        ("PUT", Risk.MEDIUM),
        ("PATCH", Risk.MEDIUM),
        ("DELETE", Risk.HIGH),
        ("PURGE", Risk.HIGH),
        ("PROPFIND", Risk.HIGH),
    ],
)
def test_risk_of_a_method(method: str, risk: Risk) -> None:
    assert risk_of(method) is risk
    assert read(method).risk is risk
