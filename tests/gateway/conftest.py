"""The data plane under test: one provider for all, a ledger and a gateway for each test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.ledger.conftest import RunningLedger, ledger, runtime, worker
from tests.parts.gateway import Gateway
from tests.parts.policies import policy_for
from tests.parts.provider import Provider
from tests.parts.raw_target import RawTarget

__all__ = ["ledger", "runtime", "worker"]


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    with Provider("ES256") as running:
        yield running


@pytest.fixture
async def target() -> AsyncIterator[RawTarget]:
    async with RawTarget() as running:
        yield running


@pytest.fixture
async def gateway(
    tmp_path: Path,
    ledger: RunningLedger,  # the fixture
    provider: Provider,
    target: RawTarget,
) -> AsyncIterator[Gateway]:
    async with Gateway(tmp_path, ledger, provider, policy_for(target), hold={"wait": "1s"}) as running:
        yield running
