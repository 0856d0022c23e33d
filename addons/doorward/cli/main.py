"""The group of all commands, and the only place that exits.

Exit codes: 0 yes, 1 no (denied, a test of the policy failed), 2 wrong usage or settings,
3 could not find out (ledger, network), 4 proven in part.
"""

import logging
import os
import sys
import traceback
from pathlib import Path

import click

import doorward
from doorward.cli.agent import agent
from doorward.cli.check import check
from doorward.cli.demo import demo
from doorward.cli.flows import flows
from doorward.cli.holds import holds
from doorward.cli.init import init
from doorward.cli.output import LogLines, complain
from doorward.cli.policy import policy
from doorward.cli.principals import principals
from doorward.cli.serve import console, gateway, ledger, serve
from doorward.cli.status import status
from doorward.errors import DoorwardError, Unavailable


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings file; else DOORWARD_CONFIG, else ./doorward.yaml.",
)
@click.option("--debug", is_flag=True, help="Show tracebacks and debug logs.")
@click.version_option(doorward.__version__, prog_name="doorward")
@click.pass_context
def commands(context: click.Context, config: Path | None, debug: bool) -> None:
    """An access gateway for AI agents: who may do what, who approved it, and the record of it."""
    context.obj = config
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(LogLines("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[lines])
    logging.getLogger("mitmproxy").setLevel(logging.CRITICAL)  # its lines may quote what targets sent
    if debug:  # of our own code alone: libraries write out heads, and with them credentials
        logging.getLogger("doorward").setLevel(logging.DEBUG)


for command in (agent, check, console, demo, flows, gateway, holds, init, ledger, policy, principals, serve, status):
    commands.add_command(command)


def main() -> None:
    """Run a command and exit with its code."""
    try:
        code = commands.main(prog_name="doorward", standalone_mode=False)
    except DoorwardError as error:
        if "--debug" in sys.argv:
            raise
        complain(error)
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:  # 1 would mean "no"
        if "--debug" in sys.argv:
            raise
        if "--control-fd" in sys.argv:  # a part of `serve`: nobody can run it again with --debug
            traceback.print_tb(error.__traceback__)
        # The class alone: a message could quote what an agent or a target sent.
        complain(Unavailable(f"it failed by {type(error).__name__}", cause="gateway-error", hint="add --debug"))
        sys.exit(Unavailable.exit_code)
    sys.exit(code if isinstance(code, int) else 0)
