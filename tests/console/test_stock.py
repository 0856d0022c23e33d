"""What mitmweb shows: copies that follow the record, without bodies until somebody opens one."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from doorward.console.copies import flow_id
from tests.console.test_login import entries
from tests.parts.console import BODY, Person, RunningConsole


async def shown(person: Person, request: str, until: Callable[[dict[str, Any]], bool] = bool) -> dict[str, Any]:
    """The copy of a request, once it is as wanted."""
    flows: list[dict[str, Any]] = []
    for _ in range(100):
        flows = (await person.browser.get("/flows")).json()
        for flow in flows:
            if flow["id"] == flow_id(request) and until(flow):
                return flow
        await asyncio.sleep(0.05)
    raise AssertionError(f"not shown: {flows}")


async def told(socket: WebSocketClientConnection, kind: str) -> dict[str, Any]:
    """The next message of a kind, past others that may come first; empty once the socket is closed."""
    for _ in range(20):
        message = await asyncio.wait_for(socket.read_message(), 10)
        if message is None:
            return {}
        found: dict[str, Any] = json.loads(message)
        if found["type"] == kind:
            return found
    raise AssertionError(f"no {kind}")


async def test_a_held_flow_waits_until_it_is_answered(console: RunningConsole) -> None:
    hold = await console.open_hold()
    async with console.person("anna", "sre") as anna:
        flow = await shown(anna, "req-1")
        assert flow["intercepted"] is True
        assert flow["request"]["method"] == "DELETE"
        assert flow["request"]["host"] == "billing.internal"
        assert flow["request"]["path"] == "/v1/customers/1?page=2"
        assert ["x-note", "a\\u202eb"] in flow["request"]["headers"]
        assert flow["request"]["contentLength"] == len(BODY)
        assert flow["comment"].startswith("held: change a customer · corp:agent-7 for corp:alice · risk high · digest ")
        await anna.answer(hold)
        flow = await shown(anna, "req-1", lambda flow: not flow["intercepted"])
        assert flow["comment"].startswith("approved: change a customer")
        assert "asked Alice" not in flow["comment"], "a reason stands with the hold"
        await console.send("req-1", hold=await console.worker.hold(hold.id))
        flow = await shown(anna, "req-1", lambda flow: "response" in flow)
        assert flow["response"]["status_code"] == 200
        assert flow["response"]["contentLength"] == len(b'{"ok": true}')
        assert flow["comment"].startswith("sent · corp:agent-7 for corp:alice · billing-editor · on hold ")


async def test_bodies_are_read_when_they_are_opened(console: RunningConsole) -> None:
    await console.send("req-9")
    async with console.person("vera", "staff") as vera:
        flow = await shown(vera, "req-9", lambda flow: "response" in flow)
        assert list(entries(console, "record.read")) == []
        answer = await vera.browser.get(f"/flows/{flow['id']}/request/content/Auto.json?lines=512")
        assert '"total": 10.50' in answer.json()["text"]
        (read,) = entries(console, "record.read")
        assert (read["reader"], read["why"]) == ("corp:vera", "console: request of req-9")
        answer = await vera.browser.get(f"/flows/{flow['id']}/response/content.data")
        assert answer.content == b'{"ok": true}'
        assert answer.headers["Content-Disposition"] == 'attachment; filename="1.response"'
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert len(list(entries(console, "record.read"))) == 2
        raw = await vera.browser.get(f"/flows/{flow['id']}/request/content/Raw.json")
        assert raw.json()["text"].startswith('{"reason"')
        assert len(list(entries(console, "record.read"))) == 2, "this session has seen it"


async def test_flows_of_before_are_loaded(console: RunningConsole) -> None:
    for number in range(30):
        await console.send(f"req-{number}")
    async with console.person("vera", "staff") as vera:
        for number in range(30):
            await shown(vera, f"req-{number}")


async def test_pages_learn_of_changes_by_the_socket(console: RunningConsole) -> None:
    async with console.person("vera", "staff") as vera:
        cookie = "; ".join(f"{name}={value}" for name, value in vera.browser.cookies.items())
        socket = await websocket_connect(
            HTTPRequest(
                console.url.replace("http", "ws") + "/updates", headers={"Cookie": cookie, "Origin": console.url}
            )
        )
        hold = await console.open_hold()
        message = await told(socket, "flows/add")
        assert message["payload"]["flow"]["id"] == flow_id(hold.request)
        await socket.write_message(
            json.dumps({"type": "flows/updateFilter", "payload": {"name": "s", "expr": "~m DELETE"}})
        )
        message = await told(socket, "flows/filterUpdate")
        assert message["payload"] == {"name": "s", "matching_flow_ids": [flow_id(hold.request)]}
        expr = "x" * 1000
        await socket.write_message(json.dumps({"type": "flows/updateFilter", "payload": {"name": "s", "expr": expr}}))
        assert await told(socket, "no such type") == {}, "closed"
        socket.close()
