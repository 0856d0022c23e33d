"""`demo`: the main job on this machine, played by itself or left running for a person to try."""

import shlex
import signal
import sys
import time
from pathlib import Path

import click

from doorward.cli.demo.identity import AGENT, OWNER, REVIEWER
from doorward.cli.demo.story import URL, Story
from doorward.cli.demo.world import World, fresh_folder, made_world
from doorward.cli.output import say


@click.command()
@click.option("--auto", is_flag=True, help="Play agent and reviewer too; exit 0 only if each step did what it says.")
@click.option(
    "--policies",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path("policies"),
    show_default=True,
)
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), default=Path(".demo"), show_default=True)
def demo(auto: bool, policies: Path, folder: Path) -> None:
    """Start a provider, a real target and doorward, and watch an agent read, be refused, held and approved."""
    begun = time.monotonic()
    with made_world(fresh_folder(folder.absolute()), policies, say) as world:
        say(f"ready after {time.monotonic() - begun:.0f} s")
        if auto:
            Story(world, _tick).tell()
            click.echo(
                f"all of it held, in {time.monotonic() - begun:.0f} s; the record stands in {world.folder / 'var'}"
            )
        else:
            click.echo(_instructions(world))
            ends = {signal.SIGINT, signal.SIGTERM}
            signal.pthread_sigmask(signal.SIG_BLOCK, ends)
            signal.sigwait(ends)
            say("stopping")


def _tick(line: str) -> None:
    mark = "✓" if "utf" in (sys.stdout.encoding or "").lower() else "ok"
    click.echo(f"  {mark} {line}")


def _instructions(world: World) -> str:
    proxy = f"http://agent:{world.token}@{world.gateway}"
    root = shlex.quote(str(world.root))
    doorward = f"{shlex.quote(sys.executable)} -m doorward --config {shlex.quote(str(world.settings))}"
    first = world.target.customers()[0]["id"]
    return f"""
The console:   {world.console}/approvals     (log in as {REVIEWER}; {OWNER} owns the agent and may not approve)
mitmweb:       {world.console}/
The gateway:   {world.gateway}   The agent: {AGENT}   The target: {world.target.address}, as https://crm.internal

In another terminal, be the agent:

  export HTTPS_PROXY='{proxy}'
  export CURL_CA_BUNDLE={root} SSL_CERT_FILE={root} REQUESTS_CA_BUNDLE={root}

  curl -s {URL}                      # allowed, masked
  curl -s {URL} --json '{{"name": "Eve"}}'      # refused by default
  curl -s -X DELETE {URL}/{first}    # held: approve it in the console

and look at the record:

  {doorward} flows list
  {doorward} holds list

Ctrl-C ends the demo.
"""
