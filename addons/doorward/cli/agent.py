"""`agent env`: what an agent's process needs in its environment."""

import json
import re
import shlex
from pathlib import Path

import click

from doorward.pki.files import ROOT_FILE
from doorward.settings import Settings, config_path, load_settings, runtime_folder

# Which variable which client reads: see docs/clients.md.
_CA_VARIABLES = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO")


@click.group()
def agent() -> None:
    """Help an agent to use the gateway."""


@agent.command()
@click.option("--label", default="agent", show_default=True, help="What the agent calls its session.")
@click.option("--token-variable", default="DOORWARD_TOKEN", show_default=True, help="Variable that holds the token.")
@click.pass_obj
def env(config: Path | None, label: str, token_variable: str) -> None:
    """Print export lines for a shell: `eval "$(doorward agent env)"`, with the token in DOORWARD_TOKEN."""
    _check_name(label, "--label")
    _check_name(token_variable, "--token-variable")
    settings = load_settings(config_path(config)).settings
    scheme = "https" if settings.tls else "http"
    url = f"{scheme}://{label}:${{{token_variable}:?set it to a token}}@{listening_at(settings)}"
    click.echo(f'export HTTPS_PROXY="{url}" HTTP_PROXY="{url}"')
    click.echo('export https_proxy="$HTTPS_PROXY" http_proxy="$HTTP_PROXY" NO_PROXY= no_proxy=')
    root = shlex.quote(str(settings.ca / ROOT_FILE))
    click.echo("export " + " ".join(f"{name}={root}" for name in _CA_VARIABLES))
    click.echo("export NODE_USE_ENV_PROXY=1")
    click.echo("unset SSL_CERT_DIR")  # where it is set, OpenSSL looks there and not only at our root


def _check_name(text: str, option: str) -> None:
    """The text goes into lines that a shell runs."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}", text):
        raise click.BadParameter("letters, digits, _, . and - alone", param_hint=option)


def listening_at(settings: Settings) -> str:
    """Where the gateway listens: as it says itself while it runs, else as the settings say."""
    try:
        return str(json.loads((runtime_folder(settings) / "gateway.json").read_text())["listen"])
    except (OSError, ValueError, KeyError):
        host, port = settings.listen
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
