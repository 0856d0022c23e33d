"""`flows open`: recorded flows in a read-only mitmweb, on loopback, for whoever runs the command."""

import asyncio
import contextlib
import signal
import webbrowser
from contextlib import closing
from pathlib import Path

import click

from doorward.cli.flows.filters import Chosen, checked_why, filtered
from doorward.cli.flows.reading import ledger_client, local_person
from doorward.cli.output import say
from doorward.cli.record import open_index
from doorward.ledger.reader import RecordReader
from doorward.model import Principal
from doorward.settings import Settings, config_path, load_settings
from doorward.store.index import Index


@click.command("open")
@filtered
@click.option("--why", required=True, help="Why you look; goes into the record with each body that you open.")
@click.option(
    "--limit", default=500, show_default=True, type=click.IntRange(1, 2000), help="So many at most, the newest."
)
@click.option("--no-browser", is_flag=True, help="Print the address, and open no browser.")
@click.pass_obj
def open_flows(config: Path | None, chosen: Chosen, why: str, limit: int, no_browser: bool) -> None:
    """Look at recorded flows in mitmweb, read-only; until Ctrl-C."""
    reason = checked_why(why)
    settings = load_settings(config_path(config)).settings
    with closing(open_index(config)) as index, contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_serve(settings, index, chosen, reason, limit, browser=not no_browser))


async def _serve(settings: Settings, index: Index, chosen: Chosen, why: str, limit: int, *, browser: bool) -> None:
    from doorward.console.looking import serve_flows
    from doorward.supervisor import bind_listener

    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)

    def ready(url: str) -> None:
        click.echo(url)
        say("doorward: the address is good once; Ctrl-C ends it")
        if browser:
            webbrowser.open(url)

    issuer, _, subject = local_person().partition(":")
    async with ledger_client(settings) as client:
        reader = RecordReader(client, index, reader=f"{issuer}:{subject}", why=why)
        rows = [row async for row in reader.rows(chosen.wanted(limit=limit))]
        with bind_listener(("127.0.0.1", 0)) as bound:
            await serve_flows(
                bound,
                rows[::-1],
                client,
                index,
                person=Principal(issuer, subject),
                why=why,
                on_ready=ready,
            )
