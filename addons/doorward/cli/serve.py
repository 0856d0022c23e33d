"""`serve` and its parts: `gateway`, `ledger`, `console`. Each imports its plane when it runs."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from doorward.cli.output import say
from doorward.core.entry import Role
from doorward.errors import Misconfigured
from doorward.hardening import end_with_parent, harden_process
from doorward.ledger.channel import Connect, inherited_connect, socket_path, unix_connect
from doorward.settings import (
    LoadedSettings,
    Settings,
    config_path,
    index_file,
    issuers_of,
    load_settings,
    runtime_folder,
)

_control = click.option("--control-fd", type=int, hidden=True, help="Control socket of the supervisor.")


@click.command()
@click.pass_obj
def serve(config: Path | None) -> None:
    """Run ledger, gateway and console, and keep them running."""
    from doorward.supervisor import Supervisor, bind_listener

    harden_process()
    file = config_path(config)
    settings = load_settings(file).settings
    with bind_listener(settings.listen) as listener:

        async def run() -> None:
            supervisor = Supervisor(
                file,
                workers=settings.workers,
                console=settings.console is not None,
                listen=listener,
                secrets=_secret_variables(settings),
            )
            await supervisor.run(lambda names: say(f"doorward: starting {', '.join(names)}"))

        asyncio.run(run())


def _secret_variables(settings: Settings) -> dict[Role, set[str]]:
    """Which variables hold secrets, and whose they are: the console never has those of targets."""
    client_secret = settings.console.client_secret if settings.console else None
    return {
        Role.WORKER: {each.secret.env for each in settings.credentials.values() if each.secret.env},
        Role.CONSOLE: {client_secret.env} if client_secret and client_secret.env else set(),
    }


@click.command()
@_control
@click.option("--listen-fd", type=int, hidden=True, help="Listening socket of the supervisor.")
@click.pass_obj
def gateway(config: Path | None, control_fd: int | None, listen_fd: int | None) -> None:
    """Run one worker of the gateway."""
    loaded = _prepared(config, control_fd)
    from doorward.gateway.worker import run_worker
    from doorward.supervisor import bind_listener

    listen = bind_listener(loaded.settings.listen) if listen_fd is None else socket.socket(fileno=listen_fd)
    connect = _connect(loaded, Role.WORKER, control_fd)
    asyncio.run(
        run_worker(
            loaded, connect=connect, listen=listen, on_ready=lambda at: say(f"doorward: gateway listening on {at}")
        )
    )


@click.group(invoke_without_command=True)
@_control
@click.pass_context
def ledger(context: click.Context, control_fd: int | None) -> None:
    """Run the ledger; or see its commands."""
    if context.invoked_subcommand is not None:
        return
    loaded = _prepared(context.obj, control_fd)
    from doorward.ledger.server import serve_ledger

    settings = loaded.settings
    supervised = control_fd is not None

    async def run() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await serve_ledger(
            settings.ledger.path,
            runtime=runtime_folder(settings),
            roles=(Role.COMMAND,) if supervised else tuple(Role),
            control=socket.socket(fileno=control_fd) if control_fd is not None else None,
            reserve_bytes=settings.ledger.reserve,
            stop=stop,
            started=lambda: say("doorward: ledger ready"),
        )

    asyncio.run(run())


@ledger.command()
@click.pass_obj
def rebuild(config: Path | None) -> None:
    """Make the index again from the segments; the ledger must not run."""
    from rich.progress import Progress

    from doorward.store.rebuild import rebuild_index

    path = load_settings(config_path(config)).settings.ledger.path
    with Progress(transient=True) as progress:
        task = progress.add_task("entries", total=None)
        count = rebuild_index(path, lambda done: progress.update(task, completed=done))
    click.echo(f"{count} entries projected")


@click.command()
@_control
@click.pass_obj
def console(config: Path | None, control_fd: int | None) -> None:
    """Run the console."""
    loaded = _prepared(config, control_fd)
    _run_stoppable(_console(loaded, _connect(loaded, Role.CONSOLE, control_fd)))


async def _console(loaded: LoadedSettings, connect: Connect) -> None:
    import json

    from doorward.console.config import ConsoleConfig, Tls
    from doorward.console.routes import Role as ConsoleRole
    from doorward.console.web import serve_console
    from doorward.ledger.client import LedgerClient
    from doorward.settings import read_secret

    settings = loaded.settings
    given = settings.console
    if given is None:
        raise Misconfigured("the settings have no console", hint="add a `console:` part to doorward.yaml")
    config = ConsoleConfig(
        issuer=next(each for each in issuers_of(settings) if each.alias == given.issuer),
        client_id=given.client_id,
        client_secret=read_secret(given.client_secret) if given.client_secret else None,
        roles={ConsoleRole.VIEWER: given.roles.viewer, ConsoleRole.REVIEWER: given.roles.reviewer},
        public_url=given.public_url,
        listen=given.listen,
        tls=Tls(given.tls.cert, given.tls.key) if given.tls else None,
    )
    client = LedgerClient(connect, Role.CONSOLE)
    await client.start(30)

    def ready(url: str) -> None:
        folder = runtime_folder(settings)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "console.json").write_text(json.dumps({"url": url}) + "\n")
        say(f"doorward: console listening on {url}")

    try:
        await serve_console(config, client, index_file(settings), on_ready=ready)
    finally:
        await client.close()


def _prepared(config: Path | None, control_fd: int | None) -> LoadedSettings:
    harden_process()
    if control_fd is not None:
        end_with_parent(control_fd)
    return load_settings(config_path(config))


def _connect(loaded: LoadedSettings, role: Role, control_fd: int | None) -> Connect:
    if control_fd is not None:
        return inherited_connect(socket.socket(fileno=control_fd))
    return unix_connect(socket_path(runtime_folder(loaded.settings), role))


def _run_stoppable(work: Coroutine[Any, Any, None]) -> None:
    """Run until done, or cancelled by SIGTERM or SIGINT."""

    async def run() -> None:
        task = asyncio.ensure_future(work)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(run())
