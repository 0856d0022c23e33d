"""Many tunnels and requests leave nothing behind in any process: memory, descriptors and threads stay flat.

The everyday run is short; `--deep` takes 20,000 tunnels and 100,000 requests. Figures of the
last deep run stand in docs/performance.md.
"""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.sides import doorward
from tests.bench.tool import LoadTarget, LoadTool, Route
from tests.parts.certificates import TestAuthority
from tests.parts.deployment import Deployment
from tests.parts.usage import Usage, usage_of

MOST_THREADS = 8  # the pool of asyncio has six, and makes each when it first needs it
PARTS = ("gateway", "ledger", "console")
ROOM = 6 << 20  # bytes; what one leaked connection keeps is about 100 KB, and there are hundreds

pytestmark = pytest.mark.skipif(shutil.which("go") is None, reason="no Go toolchain on this machine")


@pytest.fixture
def soaked(tmp_path: Path) -> Iterator[tuple[LoadTool, Route, LoadTarget, Deployment]]:
    tool, authority = LoadTool(tmp_path), TestAuthority(tmp_path)
    target = tool.serve(*authority.pair("127.0.0.1"))
    try:
        with doorward(target.address, authority.ca, tmp_path) as (route, deployment):
            yield tool, route, target, deployment
    finally:
        target.stop()


def settled(deployment: Deployment) -> dict[str, Usage]:
    """What each part holds once the connections of clients that are gone are closed."""
    pids = {part: deployment.pids(part)[0] for part in PARTS}
    before: dict[str, Usage] = {}
    for _ in range(100):
        now = {part: usage_of(pid) for part, pid in pids.items()}
        if before and all(now[part].descriptors == before[part].descriptors for part in PARTS):
            return now
        before = now
        time.sleep(0.2)
    raise AssertionError(f"descriptors keep changing: {before}")


@pytest.mark.parametrize(
    ("tunnels", "requests"),
    [
        pytest.param(600, 2400, marks=pytest.mark.timeout(600), id="short"),
        pytest.param(20_000, 100_000, marks=[pytest.mark.deep, pytest.mark.timeout(7200)], id="long"),
    ],
)
def test_memory_and_descriptors_stay_flat(
    soaked: tuple[LoadTool, Route, LoadTarget, Deployment], tunnels: int, requests: int
) -> None:
    tool, route, target, deployment = soaked
    clients = 8

    def soak(share: int) -> None:
        for tunnel, count in ((True, tunnels), (False, requests)):
            each = count // share // clients
            done = tool.run(route, target.address, connections=clients, seconds=3600, tunnel=tunnel, requests=each)
            assert done.requests == each * clients

    soak(2)  # caches fill, allocators find their size
    before = settled(deployment)
    soak(2)
    after = settled(deployment)
    print(f"{tunnels} tunnels, {requests} requests: {before} -> {after}")  # noqa: T201 # figures of a deep run
    for part in PARTS:
        assert after[part].memory - before[part].memory < ROOM, part
        assert abs(after[part].descriptors - before[part].descriptors) <= 2, part
        assert after[part].threads <= max(before[part].threads + 2, MOST_THREADS), part
