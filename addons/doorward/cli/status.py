"""`status`: what runs, as far as this machine can tell."""

import asyncio
import json
import socket
from pathlib import Path
from urllib.parse import urlsplit

import click

from doorward.cli.agent import listening_at
from doorward.cli.output import show_facts, show_json
from doorward.core.entry import Role
from doorward.ledger.channel import socket_path, unix_connect
from doorward.ledger.client import LedgerClient
from doorward.model import HoldState
from doorward.settings import Settings, config_path, load_settings, runtime_folder


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def status(config: Path | None, as_json: bool) -> int:
    """Say which parts answer, and how many holds are open; 0 when all do, 3 when one does not."""
    settings = load_settings(config_path(config)).settings
    open_holds = asyncio.run(_open_holds(settings))
    facts: dict[str, object] = {
        "ledger": "up" if open_holds is not None else "down",
        "gateway": "up" if _answers(listening_at(settings)) else "down",
    }
    if settings.console is not None:
        facts["console"] = "up" if _answers(_console_address(settings)) else "down"
    facts["listen"] = listening_at(settings)
    facts["open holds"] = open_holds
    if as_json:
        show_json(**{name.replace(" ", "_"): value for name, value in facts.items()})
    else:
        show_facts(facts)
    return 3 if "down" in facts.values() else 0


async def _open_holds(settings: Settings) -> int | None:
    client = LedgerClient(unix_connect(socket_path(runtime_folder(settings), Role.COMMAND)), Role.COMMAND)
    await client.start(1)
    try:
        return len(await client.holds(HoldState.OPEN)) if client.ready else None
    finally:
        await client.close()


def _console_address(settings: Settings) -> str:
    assert settings.console is not None
    try:
        url = json.loads((runtime_folder(settings) / "console.json").read_text())["url"]
    except (OSError, ValueError, KeyError):
        url = settings.console.public_url
    parts = urlsplit(url)
    host, port = settings.console.listen
    return f"{host}:{port or parts.port}"


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=1):
            return True
    except OSError:
        return False
