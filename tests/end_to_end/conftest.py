"""What most files here start with: a provider and a target for the whole file."""

from collections.abc import Iterator

import pytest

from tests.parts.provider import Provider
from tests.parts.target import Target


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with Target() as running:
        yield running
