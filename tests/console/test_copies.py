"""Copies are faithful, safe to look at, never live, and empty until a body is opened."""

import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy.flow import Flow

from doorward.console.copies import BodyPlace, Head, Shown, Side, body_place, copy_of, flow_id
from doorward.console.stock import flow_json

AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
FULL = Shown(
    request="req-1",
    at=AT,
    verb="PATCH",
    target="billing",
    comment="held: change a customer",
    held=True,
    client="[::1]:40000",
    request_head=Head((("content-type", "application/json"),), "https://billing.internal:8443/v1/customers/1?page=2"),
    request_body=BodyPlace(("ab" * 32,), 120, "req-1"),
    status=200,
    duration_ms=250,
    response_head=Head((("content-encoding", "gzip"),)),
    response_body=BodyPlace(("cd" * 32,), 5, "req-1"),
)


def test_ids_are_stable_uuids() -> None:
    assert flow_id("req-1") == flow_id("req-1") != flow_id("req-2")
    assert str(uuid.UUID(flow_id("req-1"))) == flow_id("req-1")


def test_a_full_copy() -> None:
    flow = copy_of(FULL)
    assert (flow.request.host, flow.request.port, flow.request.path) == (
        "billing.internal",
        8443,
        "/v1/customers/1?page=2",
    )
    assert flow.request.data.method == b"PATCH"
    assert flow.request.raw_content is None
    assert flow.response is not None
    assert flow.response.raw_content is None
    assert flow.response.timestamp_end == AT.timestamp() + 0.25
    assert flow.client_conn.peername == ("::1", 40000)
    assert flow.intercepted
    assert not flow.live
    assert not flow.killable
    assert body_place(flow, Side.REQUEST) == FULL.request_body
    shown = flow_json(flow)
    assert shown["request"]["contentLength"] == 120
    assert shown["response"]["contentHash"] == "cd" * 32
    assert shown["modified"] is False


def test_a_copy_survives_being_taken_over() -> None:
    again = Flow.from_state(copy_of(FULL).get_state())
    assert flow_json(again) == flow_json(copy_of(FULL))


def test_an_empty_copy() -> None:
    flow = copy_of(Shown("req-2", AT, "", "billing", ""))
    assert flow.request.host == "billing"
    assert flow.response is None
    assert flow_json(flow)["request"]["contentLength"] == 0


@pytest.mark.parametrize("url", ["http://[::1", "https://x:99999/a", "::", "//", "ht\u202etp://x/y", "https:///p"])
def test_urls_that_cannot_be_read_are_shown_all_the_same(url: str) -> None:
    flow = copy_of(Shown("req-3", AT, "GET", "billing", "", request_head=Head((), url)))
    flow_json(flow)
    assert "\u202e" not in flow.request.path + flow.request.host


@given(text=st.text(), client=st.text())
def test_nothing_that_an_agent_writes_breaks_a_copy(text: str, client: str) -> None:
    head = Head(((text, text),), f"https://billing.internal/{text}?{text}")
    flow = copy_of(Shown(text, AT, text, text, text, client=client, request_head=head, status=200, response_head=head))
    shown = flow_json(flow)
    asked = shown["request"]
    for line in (shown["comment"], asked["method"], asked["host"], asked["path"], *asked["headers"][0]):
        assert not any(char in line for char in "\u202e\u2066\x00\x1b\n\r\u200b")
