import asyncio
import getpass
import time

import pytest

from doorward.cli.flows.reading import ledger_client, local_person
from doorward.errors import Unavailable
from doorward.settings import config_path, load_settings
from tests.parts.command import Terminal


def test_whoever_runs_the_command_is_named() -> None:
    assert local_person() == f"local:{getpass.getuser()}"


def test_where_no_ledger_ever_ran_nobody_waits_for_it(deployed: Terminal) -> None:
    settings = load_settings(config_path(None)).settings

    async def ask() -> None:
        async with ledger_client(settings):
            raise AssertionError

    began = time.monotonic()
    with pytest.raises(Unavailable) as error:
        asyncio.run(ask())
    assert error.value.cause == "ledger-away"
    assert time.monotonic() - began < 1.5
