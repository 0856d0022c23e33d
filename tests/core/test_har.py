import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft6Validator, FormatChecker
from referencing import Registry, Resource

from doorward.core.har import har_begin, har_end, har_entry
from doorward.core.recorded import RecordedFlow
from tests.parts.recorded import FLOWS, recorded_flow

# The schema of HAR 1.2 as npm's har-schema 2.0.0 has it; its licence stands beside it.
SCHEMAS = Path(__file__).parents[1] / "vectors" / "har"


def validator() -> Draft6Validator:
    schemas = {file.name: json.loads(file.read_text()) for file in SCHEMAS.glob("*.json")}
    registry: Registry[Any] = Registry().with_resources(
        [(name, Resource.from_contents(schema)) for name, schema in schemas.items()]
    )
    return Draft6Validator(schemas["har.json"], registry=registry, format_checker=FormatChecker())


def har(*flows: RecordedFlow) -> Any:
    raw = har_begin("1.2.3") + b",\n".join(har_entry(flow) for flow in flows) + har_end
    return json.loads(raw)


def entry(flow: RecordedFlow) -> Any:
    (made,) = har(flow)["log"]["entries"]
    return made


def test_every_sort_of_flow_is_har_by_its_schema() -> None:
    whole = har(*FLOWS.values())
    assert [error.message for error in validator().iter_errors(whole)] == []
    assert len(whole["log"]["entries"]) == len(FLOWS)
    assert whole["log"]["creator"] == {"name": "doorward", "version": "1.2.3"}


def test_the_schema_finds_what_is_no_har() -> None:
    broken = har(recorded_flow())
    del broken["log"]["entries"][0]["request"]["method"]
    broken["log"]["entries"][0]["startedDateTime"] = "yesterday"
    assert len(list(validator().iter_errors(broken))) >= 2


def test_a_log_without_entries() -> None:
    assert har()["log"]["entries"] == []
    assert validator().is_valid(har())


def test_what_was_asked_and_answered() -> None:
    made = entry(FLOWS["whole"])
    assert datetime.fromisoformat(made["startedDateTime"]) == FLOWS["whole"].at
    request, response = made["request"], made["response"]
    assert (request["method"], request["bodySize"]) == ("PATCH", 15)
    assert request["postData"] == {"mimeType": "application/json", "text": '{"total": 1.10}'}
    assert request["queryString"] == [{"name": "page", "value": "2"}, {"name": "q", "value": "a b"}]
    assert response["status"] == 200
    assert response["content"]["text"] == '{"email": "doorward-masked-0"}'
    assert made["_doorward"]["masks"][0]["rule"] == "personal data"
    assert "comment" not in made


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("bodies not kept", "body of the request: not-kept; body of the answer: not-kept"),
        ("truncated", "body of the request: truncated; body of the answer: truncated"),
        ("deleted", "body of the request: deleted; body of the answer: deleted"),
        ("refused", "refused by the gateway (policy); nothing was sent; body of the request: not-kept"),
        ("outcome unknown", "sent, and whether the target acted is unknown"),
        ("withheld", "the answer was not handed on (not-json)"),
        ("broken off", "the answer was broken off (agent-gone)"),
        ("held", "waits for a person (hold h1); nothing was sent"),
        ("counted", "stands for 41 refusals"),
    ],
)
def test_what_is_not_there_is_marked(name: str, says: str) -> None:
    assert entry(FLOWS[name])["comment"].startswith(says)


@pytest.mark.parametrize("name", ["refused", "outcome unknown", "withheld", "held", "counted"])
def test_without_an_answer_of_the_target_the_status_is_none(name: str) -> None:
    made = entry(FLOWS[name])
    assert (made["response"]["status"], made["response"]["bodySize"]) == (0, -1)
    assert made["_doorward"]["status"] == FLOWS[name].status


def test_a_missing_body_does_not_look_like_an_empty_one() -> None:
    for name in ("bodies not kept", "deleted"):
        made = entry(FLOWS[name])
        assert "text" not in made["response"]["content"]
        assert (made["request"]["bodySize"], made["response"]["bodySize"]) == (-1, -1)
    empty = entry(FLOWS["without bodies"])
    assert (empty["request"]["bodySize"], empty["response"]["bodySize"]) == (0, 0)
    assert "postData" not in empty["request"]


def test_bytes_that_are_no_text_are_base64() -> None:
    made = entry(FLOWS["binary"])
    assert (made["response"]["content"]["encoding"], made["response"]["content"]["text"]) == ("base64", "AP4=")
    assert (made["request"]["postData"]["_encoding"], made["request"]["postData"]["text"]) == ("base64", "/wA=")


def test_an_unreadable_url_is_no_reason_to_fail() -> None:
    made = entry(recorded_flow(url="https://[x/?a=1"))
    assert made["request"]["queryString"] == []


def test_it_stays_json_inside_of_a_page() -> None:
    assert b"<" not in har_entry(FLOWS["script in a page"])
    assert entry(FLOWS["script in a page"])["response"]["content"]["text"] == "</script><script>alert(1)</script>"
