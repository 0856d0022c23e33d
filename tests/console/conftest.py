from collections.abc import AsyncIterator, Iterator

import pytest

from tests.parts.console import RunningConsole, running_console
from tests.parts.provider import Provider


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


@pytest.fixture
async def console(provider: Provider) -> AsyncIterator[RunningConsole]:
    async with running_console(provider) as console:
        yield console
