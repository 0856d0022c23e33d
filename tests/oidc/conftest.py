from collections.abc import Iterator

import pytest

from tests.parts.provider import Provider


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider
