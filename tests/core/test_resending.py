import hashlib
from dataclasses import replace
from typing import Any

import pytest

from doorward.core.digest import action_digest
from doorward.core.recorded import Kept, Message, RecordedFlow
from doorward.core.resending import Resend, Sent, resend_of
from doorward.errors import Refused
from doorward.model import Action, Principal, Risk
from tests.parts.recorded import FLOWS, recorded_flow

KEY = b"k" * 32
HEADERS = (("content-type", "application/json"), ("content-length", "15"), ("accept", "*/*"), ("x-trace", "7"))
BODY = b'{"total": 1.10}'


def sent(**changes: Any) -> Sent:
    """What the intent of the plain request says, made from the Action as the gateway makes it."""
    values: dict[str, Any] = {
        "principal": Principal("corp", "agent:7", ("corp:agents",), "corp:alice"),
        "target": "billing",
        "target_url": "https://billing.internal:443",
        "protocol": "http",
        "verb": "PATCH",
        "path": "/v1/a b",
        "raw_path": "/v1/a%20b",
        "query": (("page", "2"),),
        "raw_query": "page=2",
        "headers": HEADERS,
        "body_digest": hashlib.sha256(BODY).hexdigest(),
        "risk": Risk.HIGH,
    }
    digest = action_digest(KEY, Action(**(values | changes)), credential="t", generation="g")
    return Sent(digest, "t", "g")


def flow(**changes: Any) -> RecordedFlow:
    values: dict[str, Any] = {
        "principal": "corp:agent:7",
        "url": "https://billing.internal:443/v1/a%20b?page=2",
        "asked": Message(HEADERS, BODY, Kept.WHOLE, len(BODY)),
    }
    return recorded_flow(**(values | changes))


def test_a_request_that_the_record_holds_whole() -> None:
    assert resend_of(flow(), sent(), KEY) == Resend(
        "PATCH",
        "/v1/a%20b?page=2",
        (("content-type", "application/json"), ("accept", "*/*"), ("x-trace", "7")),
        BODY,
    )


def test_one_without_query_and_body() -> None:
    empty = flow(url="https://billing.internal:443/v1/a%20b", asked=Message(HEADERS, b"", Kept.NONE))
    digest = hashlib.sha256(b"").hexdigest()
    assert resend_of(empty, sent(raw_query="", body_digest=digest), KEY).raw_target == "/v1/a%20b"


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "https://billing.internal:443/v1/a%20b?page=doorward-masked-0123456789"},
        {"url": "https://billing.internal:443/v1/a%20b"},
        {"asked": Message((*HEADERS[:3], ("x-trace", "doorward-masked-0")), BODY, Kept.WHOLE, len(BODY))},
        {"asked": Message(HEADERS, b"{}", Kept.WHOLE, 2)},
        {"asked": Message(HEADERS, b'{"total": null}', Kept.WHOLE, 15)},
        {"asked": Message(HEADERS, b'{"total": 1.1}', Kept.WHOLE, 14)},
        {"asked": Message(HEADERS, b"", Kept.NONE)},
        {"asked": Message(HEADERS, BODY, Kept.CUT, len(BODY))},
        {"asked": Message(HEADERS, b"", Kept.NOT_KEPT)},
        {"asked": Message(HEADERS, b"", Kept.DELETED, len(BODY))},
    ],
    ids=[
        "query masked", "query removed", "header masked", "field removed", "null", "number", "body gone", "truncated",
        "not kept", "deleted",
    ],
)  # fmt: skip
def test_whatever_hides_a_part_of_it_ends_it(changes: dict[str, Any]) -> None:
    with pytest.raises(Refused) as error:
        resend_of(flow(**changes), sent(), KEY)
    assert error.value.cause == "masked-part"


@pytest.mark.parametrize("name", ["refused", "held", "counted"])
def test_what_never_went_out_is_not_sent_again(name: str) -> None:
    with pytest.raises(Refused) as error:
        resend_of(FLOWS[name], sent(), KEY)
    assert error.value.cause == "not-sent"


def test_an_intent_without_a_digest_proves_nothing() -> None:
    with pytest.raises(Refused):
        resend_of(flow(), replace(sent(), digest=None), KEY)


def test_the_digest_of_another_deployment_proves_nothing() -> None:
    with pytest.raises(Refused):
        resend_of(flow(), sent(), b"x" * 32)


@pytest.mark.parametrize("changes", [{"credential": "other"}, {"generation": None}])
def test_credential_and_generation_are_those_of_the_intent(changes: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        resend_of(flow(), replace(sent(), **changes), KEY)
