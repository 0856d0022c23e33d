"""A ledger or a console as a process of its own: `python -m tests.parts.console_process ROLE PLACE [ISSUER]`.

Says `ready` and its URL on one line of stdout once it serves; runs until it is terminated.
"""

import asyncio
import logging
import signal
import sys
from pathlib import Path

from doorward.core.entry import Role
from doorward.ledger.channel import socket_path, unix_connect
from doorward.ledger.client import LedgerClient
from doorward.ledger.server import serve_ledger
from doorward.store.rebuild import INDEX


async def ledger(place: Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await serve_ledger(place / "var", runtime=place / "run", stop=stop, started=lambda: say("-"))


async def console(place: Path, issuer: str) -> None:
    from doorward.console.config import ConsoleConfig
    from doorward.console.web import serve_console
    from doorward.oidc.issuer import Issuer
    from tests.parts.console import CLIENT_ID, ROLES

    client = LedgerClient(unix_connect(socket_path(place / "run", Role.CONSOLE)), Role.CONSOLE)
    await client.start()
    config = ConsoleConfig(
        issuer=Issuer("corp", issuer, "doorward"),
        client_id=CLIENT_ID,
        client_secret=None,
        roles=ROLES,
        public_url="http://127.0.0.1:0",
        listen=("127.0.0.1", 0),
    )
    await serve_console(config, client, place / "var" / INDEX, on_ready=say)


def say(url: str) -> None:
    sys.stdout.write(f"ready {url}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    match sys.argv[1:]:
        case ["ledger", place]:
            asyncio.run(ledger(Path(place)))
        case ["console", place, issuer]:
            asyncio.run(console(Path(place), issuer))
