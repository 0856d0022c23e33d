"""`flows replay`: an agent's run again, with no target at all: a proxy that answers from the record."""

import asyncio
import contextlib
import ipaddress
import signal
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import click

from doorward.cli.flows.filters import Chosen, checked_why, filtered
from doorward.cli.flows.reading import record_reader
from doorward.cli.output import say, show_facts, show_json
from doorward.cli.record import open_index
from doorward.core.policy_file import load_policy
from doorward.core.redaction.masks import Replacer, sentinel_for
from doorward.core.replaying import Keys
from doorward.pki.deployment_key import load_key
from doorward.pki.files import ROOT_FILE, ensure_intermediate
from doorward.settings import (
    Settings,
    config_path,
    deployment_key_file,
    load_settings,
    read_policy_files,
)
from doorward.store.index import Index


def _loopback(_: click.Context, option: click.Parameter, value: str) -> tuple[str, int]:
    host, _colon, port = value.rpartition(":")
    try:
        address = ipaddress.ip_address(host.strip("[]"))
        number = int(port)
    except ValueError:
        raise click.BadParameter("write it as 127.0.0.1:8088", param=option) from None
    if not address.is_loopback or not 0 <= number <= 65535:
        raise click.BadParameter("a replay listens on loopback alone: it shows recorded answers", param=option)
    return str(address), number


@click.command()
@filtered
@click.option("--why", required=True, help="Why you read what is replayed; goes into the record.")
@click.option(
    "--listen", default="127.0.0.1:0", show_default=True, callback=_loopback, help="On loopback; 0: any port."
)
@click.option(
    "--limit", default=1000, show_default=True, type=click.IntRange(1), help="So many at most, the oldest first."
)
@click.option("--json", "as_json", is_flag=True, help="Say where it listens as one JSON object.")
@click.pass_obj
def replay(config: Path | None, chosen: Chosen, why: str, listen: tuple[str, int], limit: int, as_json: bool) -> None:
    """Answer agents from the record, never from the network; until Ctrl-C."""
    reason = checked_why(why)
    settings = load_settings(config_path(config)).settings
    with closing(open_index(config)) as index, contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_serve(settings, index, chosen, reason, listen, limit, as_json=as_json))


async def _serve(
    settings: Settings, index: Index, chosen: Chosen, why: str, listen: tuple[str, int], limit: int, *, as_json: bool
) -> None:
    from doorward.playback.listener import Replaying, serve_replay
    from doorward.supervisor import bind_listener

    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    policy = load_policy(
        read_policy_files(settings.policies), issuers=settings.issuers, credentials=settings.credentials
    )
    key = load_key(deployment_key_file(settings))
    keys = Keys.under(policy, Replacer(sentinel_for(key), key), recorded_bytes=settings.limits.recorded_body)
    hosts = {host for target in policy.targets.values() for host, _ in target.hosts}
    ensure_intermediate(settings.ca, hosts, datetime.now(UTC))

    def ready(running: Replaying) -> None:
        facts = {"proxy": running.proxy, "ca": settings.ca / ROOT_FILE, "answers": running.answers}
        if as_json:
            show_json(**facts, left_out=running.left_out)
        else:
            show_facts(facts)
        if running.left_out:
            say(f"doorward: {running.left_out} of the recorded requests have no whole answer, and are not replayed")
        say("doorward: set HTTPS_PROXY to the proxy, and have the agent trust the authority; Ctrl-C ends it")

    async with record_reader(settings, index, why) as reader:
        flows = reader.flows(reader.rows(chosen.wanted(oldest_first=True, limit=limit)))
        with bind_listener(listen) as bound:
            await serve_replay(
                bound,
                flows,
                keys,
                ca=settings.ca,
                request_bytes=settings.limits.request_body,
                on_ready=ready,
            )
