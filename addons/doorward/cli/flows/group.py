"""The group `flows`: a command a file."""

import click

from doorward.cli.flows.export import export
from doorward.cli.flows.follow import follow
from doorward.cli.flows.listing import list_flows
from doorward.cli.flows.open import open_flows
from doorward.cli.flows.replay import replay
from doorward.cli.flows.resend import resend
from doorward.cli.flows.show import show


@click.group()
def flows() -> None:
    """Look back: the recorded requests and answers."""


for command in (list_flows, show, follow, export, open_flows, replay, resend):
    flows.add_command(command)
