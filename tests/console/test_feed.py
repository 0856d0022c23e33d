"""The view is bounded, follows what was missed, and survives a ledger that goes away."""

import asyncio
from dataclasses import replace

from doorward.core.entry import Role
from doorward.ledger.channel import socket_path, unix_connect
from doorward.ledger.client import LedgerClient
from tests.console.test_stock import shown
from tests.parts.console import CHANGE, running_console
from tests.parts.provider import Provider


async def test_the_view_is_bounded_and_keeps_what_waits(provider: Provider) -> None:
    async with running_console(provider, most_flows=10, recent_flows=10) as console:
        await console.open_hold("req-held")
        async with console.person("anna", "sre") as anna:
            await shown(anna, "req-held")
            for number in range(25):
                await console.send(f"req-{number}")
                if number % 8 == 7:
                    await asyncio.sleep(0.3)
            await shown(anna, "req-24")
            await asyncio.sleep(0.3)
            flows = (await anna.browser.get("/flows")).json()
            assert len(flows) <= 10
            assert [flow for flow in flows if flow["intercepted"]]


async def test_an_expired_hold_waits_no_longer(provider: Provider) -> None:
    async with running_console(provider) as console, console.person("anna", "sre") as anna:
        hold = await console.open_hold(asks=(replace(CHANGE, expires_s=1),))
        flow = await shown(anna, "req-1", lambda flow: not flow["intercepted"])
        assert flow["comment"].startswith("expired: ")
        answer = await anna.answer(hold)
        assert (answer.status_code, answer.json()["cause"]) == (409, "hold-expired")


async def test_a_hold_that_a_block_withdrew_waits_no_longer(provider: Provider) -> None:
    async with running_console(provider) as console, console.person("anna", "sre") as anna:
        hold = await console.open_hold()
        await shown(anna, "req-1", lambda flow: flow["intercepted"])
        command = LedgerClient(unix_connect(socket_path(console.ledger.parent / "run", Role.COMMAND)), Role.COMMAND)
        await command.start()
        await command.set_block("corp:agent-7", is_block=True, reason="it went wild")
        await command.close()
        flow = await shown(anna, "req-1", lambda flow: not flow["intercepted"])
        assert flow["comment"].startswith("withdrawn: ")
        listed = (await anna.browser.get("/api/holds")).json()
        assert (listed["open"], [each["state"] for each in listed["decided"]]) == ([], ["withdrawn"])
        page = (await anna.browser.get(f"/approvals/{hold.id}")).text
        assert "withdrawn" in page
        assert "<textarea" not in page
        answer = await anna.answer(hold)
        assert (answer.status_code, answer.json()["cause"]) == (409, "hold-withdrawn")
