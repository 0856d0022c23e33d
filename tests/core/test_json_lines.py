import json
import re
from pathlib import Path
from typing import Any

import pytest

from doorward.core.json_lines import json_line
from doorward.core.recorded import RecordedFlow
from tests.parts.recorded import FLOWS

PAGE = (Path(__file__).parents[2] / "docs" / "looking-back.md").read_text()


def line(flow: RecordedFlow) -> Any:
    raw = json_line(flow)
    assert raw.endswith(b"}\n")
    assert raw.count(b"\n") == 1
    return json.loads(raw)


@pytest.mark.parametrize("name", FLOWS)
def test_every_field_is_described_and_always_there(name: str) -> None:
    described = re.findall(r"^\| `([a-z_]+)` \|", PAGE.partition("<!-- fields -->")[2].partition("<!-- end")[0], re.M)
    assert list(line(FLOWS[name])) == described


def test_bodies_say_how_much_of_them_is_there() -> None:
    whole = line(FLOWS["whole"])
    assert whole["schema"] == "doorward/flow/1"
    assert whole["asked"]["body"] == "whole"
    assert whole["asked"]["text"] == '{"total": 1.10}'
    assert line(FLOWS["truncated"])["answered"] == {"headers": [], "body": "truncated", "text": "def"}
    assert line(FLOWS["bodies not kept"])["asked"] == {"headers": [], "body": "not-kept"}
    assert line(FLOWS["binary"])["answered"]["base64"] == "AP4="


def test_without_an_answer_there_is_none() -> None:
    assert line(FLOWS["outcome unknown"])["answered"] is None
    counted = line(FLOWS["counted"])
    assert (counted["method"], counted["url"], counted["count"]) == (None, None, 41)


def test_it_stays_json_inside_of_a_page() -> None:
    assert b"<" not in json_line(FLOWS["script in a page"])
