"""Pins what the agent's side leans on in mitmproxy and h2; tests/attack tries the behaviour itself."""

import asyncio

import h2.connection
from mitmproxy.proxy.layers.http import _http1, _http2

from doorward.gateway.mitm.agent_side import Http1Server, Http2Server
from tests.parts.gateway import Gateway, get
from tests.parts.raw_target import RawTarget


def test_the_names_that_are_replaced_are_still_there() -> None:
    for ours, names in (
        (Http1Server, ("_handle_event", "read_headers", "read_body", "wait", "send")),
        (Http2Server, ("_handle_event", "handle_h2_event")),
    ):
        for name in names:
            assert name in vars(ours)
            assert hasattr(ours.__mro__[1], name), (ours, name)
    for name in ("done", "mark_done"):
        assert hasattr(_http1.Http1Server, name)
    for name in ("is_open_for_us", "close_connection"):
        assert hasattr(_http2.Http2Server, name)


def test_a_frame_that_is_not_whole_can_be_seen() -> None:
    frames = h2.connection.H2Connection().incoming_buffer
    assert not frames._data
    assert frames._headers_buffer == []
    frames.add_data(b"\x00\x00\x40\x01")
    assert frames._data


async def test_a_head_in_many_pieces_is_one_head(gateway: Gateway, target: RawTarget) -> None:
    agent = await gateway.tunnel()
    for raw in (get("/v1/a"), get("/v1/b") + get("/v1/c")):
        for start in range(0, len(raw), 7):
            await agent.send(raw[start : start + 7])
            await asyncio.sleep(0)
    assert [(await agent.read()).status for _ in range(3)] == [200, 200, 200]
    assert [each.split(b" ")[1] for each in target.got] == [b"/v1/a", b"/v1/b", b"/v1/c"]


async def test_a_slow_head_does_not_end_the_one_behind_it(gateway: Gateway) -> None:
    """Each head has its own time: the clock of the first does not ring for the second."""
    gateway.chain.head_wait_s = 0.6
    agent = await gateway.tunnel()
    for _ in range(3):
        raw = get("/v1/a")
        await agent.send(raw[:20])
        await asyncio.sleep(0.4)
        assert (await agent.ask(raw[20:])).status == 200
