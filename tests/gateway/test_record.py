import asyncio
from typing import Any

import pytest
from mitmproxy import http

from doorward.core.entry import Role
from doorward.errors import Unavailable
from doorward.gateway.record import _mask_rows
from doorward.model import Mask
from tests.parts.flows import answer, finish, flow_for, lead, problem, run, tunnelled
from tests.parts.gateway import Gateway


async def test_the_intent_is_durable_before_anything_may_go_out(gateway: Gateway) -> None:
    flow = flow_for(await tunnelled(gateway))
    kinds: list[list[str]] = []
    hooks = dict(gateway.chain.hooks)
    dial = hooks["request"][-2]

    async def look(seen: http.HTTPFlow) -> None:
        kinds.append(gateway.ledger.kinds())
        await finish(dial(seen))

    hooks["request"] = (*hooks["request"][:-2], look, hooks["request"][-1])
    gateway.chain.hooks = hooks
    await lead(gateway, flow)
    assert kinds == [["request.intent"]]
    intent, outcome = gateway.entries()
    assert outcome.kind == "request.outcome"
    assert {name: outcome.fields[name] for name in ("request", "status", "executed", "echo", "cause", "truncated")} == {
        "request": intent.fields["request"],
        "status": 200,
        "executed": "yes",
        "echo": 0,
        "cause": None,
        "truncated": False,
    }
    assert isinstance(outcome.fields["duration_ms"], int)


async def test_without_the_ledger_nothing_goes_out(gateway: Gateway) -> None:
    flow = flow_for(await tunnelled(gateway))
    await gateway.ledger.stop()
    sent, _ = await lead(gateway, flow)
    assert sent is None
    refusal = problem(flow)
    assert (refusal["status"], refusal["cause"], refusal["executed"]) == (503, "ledger-away", "no")
    await gateway.ledger.restart()
    await gateway.chain.refusals.write_counts()
    entry = await gateway.entry("request.refused", cause="ledger-away")
    assert entry.fields["count"] == 1
    again = flow_for(flow.client_conn)
    assert (await lead(gateway, again))[0] is not None


async def test_an_outcome_that_cannot_be_written_withholds_the_answer(gateway: Gateway) -> None:
    flow = flow_for(await tunnelled(gateway))
    await run(gateway, "requestheaders", flow)
    await run(gateway, "request", flow)
    gateway.chain.wire(flow)
    flow.response = answer({"name": "Ann"})
    await gateway.ledger.stop()
    await run(gateway, "responseheaders", flow)
    await run(gateway, "response", flow)
    refusal = problem(flow)
    assert (refusal["status"], refusal["cause"], refusal["executed"]) == (502, "ledger-away", "yes")
    assert "Retry-After" not in flow.response.headers
    assert b"Ann" not in (flow.response.content or b"")


async def test_a_failed_connection_has_an_outcome(gateway: Gateway) -> None:
    flow = flow_for(await tunnelled(gateway))
    await run(gateway, "requestheaders", flow)
    await run(gateway, "request", flow)
    gateway.chain.wire(flow)
    await run(gateway, "error", flow)
    (outcome,) = gateway.entries("request.outcome")
    assert (outcome.fields["executed"], outcome.fields["cause"]) == ("unknown", "connection-failed")
    await run(gateway, "error", flow)
    assert len(gateway.entries("request.outcome")) == 1


async def test_a_connection_that_fails_before_the_intent_is_a_refusal(gateway: Gateway) -> None:
    flow = flow_for(await tunnelled(gateway))
    await run(gateway, "requestheaders", flow)
    await run(gateway, "error", flow)
    (entry,) = gateway.entries()
    assert (entry.kind, entry.fields["executed"], entry.fields["cause"]) == (
        "request.refused",
        "no",
        "connection-failed",
    )


async def test_a_crash_while_the_ledger_is_away_is_only_logged(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    flow = flow_for(await tunnelled(gateway))
    await run(gateway, "requestheaders", flow)
    await run(gateway, "request", flow)
    await gateway.ledger.stop()
    gateway.chain.crashed(flow.client_conn, RuntimeError("x"))
    await asyncio.sleep(0.02)
    assert "its outcome could not be recorded: ledger-away" in caplog.text


async def test_long_bodies_are_cut_in_the_record_and_not_for_the_agent(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway.chain.addons[6], "_recorded", 10)
    flow = flow_for(await tunnelled(gateway))
    await lead(gateway, flow, answer({"name": "a" * 50}))
    (outcome,) = gateway.entries("request.outcome")
    assert outcome.fields["truncated"] is True
    bodies: Any = outcome.fields["bodies"]
    reader = await gateway.ledger.client(Role.COMMAND)
    assert len(await reader.read_body(bodies["response_body"]["digest"], reader="test", why="test")) == 10
    assert "kept" not in outcome.fields
    assert flow.response is not None
    assert len(flow.response.content or b"") > 50


async def test_a_request_that_the_record_cuts_is_marked(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway.chain.addons[4], "_recorded", 10)
    for size, is_cut in ((10, False), (11, True)):
        flow = flow_for(
            await tunnelled(gateway),
            "POST",
            headers=(("Host", "billing.internal"), ("Content-Type", "application/json")),
            body=b"[%s]" % (b"1" * (size - 2)),
        )
        await lead(gateway, flow)
        intent = gateway.entries("request.intent")[-1]
        assert (intent.fields["truncated"], intent.fields["sent_bytes"]) == (is_cut, size)


async def test_masks_are_counted_by_field(gateway: Gateway) -> None:
    flow = flow_for(await tunnelled(gateway))
    await lead(gateway, flow, answer({"items": [{"email": "a@b"}, {"email": "c@d"}], "email": "e@f"}))
    (outcome,) = gateway.entries("request.outcome")
    assert outcome.fields["masks"] == [
        {"rule": "personal data", "path": "$['items'][*]['email']", "replacement": "sentinel", "count": 2},
        {"rule": "personal data", "path": "$['email']", "replacement": "sentinel", "count": 1},
    ]


def test_mask_rows_add_counts_and_keep_names_that_look_like_positions() -> None:
    rows: Any = _mask_rows([Mask("r", "$['a'][7]", "remove", 2), Mask("r", "$['a'][7]", "remove", 3)])
    assert rows == [{"rule": "r", "path": "$['a'][7]", "replacement": "remove", "count": 5}]


@pytest.mark.parametrize("letter", ["a", "ä", "😀", "\\u0001"])
def test_mask_rows_fit_an_entry_however_long_their_names(letter: str) -> None:
    masks = [Mask("r" * 100, f"$['{letter * 250}{number}']", "sentinel", number) for number in range(1000)]
    rows: Any = _mask_rows(masks)
    assert len(repr(rows).encode()) < 12 << 10
    assert rows[-1]["path"] == "others"
    assert sum(row["count"] for row in rows) == sum(range(1000))
    assert rows[0]["count"] == 999


async def test_an_answer_with_a_thousand_masked_fields_has_an_outcome(gateway: Gateway) -> None:
    flow = flow_for(await tunnelled(gateway))
    document = {f"ключ-{number}-{'ж' * 60}": {"email": "a@b"} for number in range(2000)}
    await lead(gateway, flow, answer(document))
    assert flow.response is not None
    assert flow.response.status_code == 200
    (outcome,) = gateway.entries("request.outcome")
    masks: Any = outcome.fields["masks"]
    assert sum(row["count"] for row in masks) == 2000


async def test_a_client_that_cannot_write_is_unavailable(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: object, **__: object) -> None:
        raise Unavailable("the disk is full", cause="disk-full", hint="make room")

    flow = flow_for(await tunnelled(gateway))
    monkeypatch.setattr(gateway.client, "append", full)
    assert (await lead(gateway, flow))[0] is None
    assert (problem(flow)["status"], problem(flow)["cause"]) == (503, "disk-full")
