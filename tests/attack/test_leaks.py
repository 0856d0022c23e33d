"""Short tunnels in great number, as the rival that kept a task for each: nothing may stay behind in a worker.

Memory and descriptors of whole deployments are looked at by tests/end_to_end/test_soak.py.
"""

import asyncio
import gc

import pytest

from tests.parts.gateway import Gateway, get
from tests.parts.raw_target import RawTarget


@pytest.mark.timeout(300)
async def test_tasks_and_registers_stay_flat(gateway: Gateway, target: RawTarget) -> None:
    async def visit(requests: int) -> None:
        agent = await gateway.tunnel()
        for _ in range(requests):
            assert (await agent.ask(get())).status == 200
        agent.close()

    async def held() -> tuple[int, int, int]:
        """Tasks, exchanges and tunnels, once what is gone is forgotten."""
        counts: list[tuple[int, int, int]] = []
        for _ in range(100):
            gateway.chain.upstream.forget(
                "corp:agent-7"
            )  # connections to the target that wait have an end of their own
            gc.collect()
            open_now = len(gateway.listener._open)
            counts.append((len(asyncio.all_tasks()), len(gateway.chain.exchanges._by_flow), open_now))
            if counts[-1][1:] == (0, 0) and counts[-1:] * 3 == counts[-3:]:
                return counts[-1]
            await asyncio.sleep(0.05)
        raise AssertionError(f"it does not settle: {counts[-3:]}")

    await visit(3)
    before = await held()
    for _ in range(10):
        await asyncio.gather(*(visit(3) for _ in range(8)))
    after = await held()
    assert after == before
