"""Reads `doorward.yaml`: text -> Settings, or one error with file, line and hint.

An unknown key, or one that this version does not serve yet, is an error; nothing is
ignored. Which file to read is the one thing that the environment says (DOORWARD_CONFIG).
"""

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from doorward.errors import Misconfigured
from doorward.settings.derived import issuer_of
from doorward.settings.schema import SecretSettings, Settings, TlsSettings

CONFIG_FILE = "doorward.yaml"
_LATER = frozenset({"client_cert", "drain"})  # known keys that this version does not serve


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """Settings with the text they came from, which goes into the ledger."""

    settings: Settings
    file: Path
    text: str


def config_path(given: Path | None) -> Path:
    """The file to read: the one given, else DOORWARD_CONFIG, else `doorward.yaml` here."""
    return (given or Path(os.environ.get("DOORWARD_CONFIG") or CONFIG_FILE)).absolute()


def load_settings(file: Path) -> LoadedSettings:
    """Read and check a settings file; raises Misconfigured with `file:line` and a hint."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Misconfigured(
            f"no settings file at {file}", hint="make one with `doorward init`, or name it with --config"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"cannot read {file}: {error}", hint="it must be a readable UTF-8 file") from None
    return LoadedSettings(parse_settings(text, file), file, text)


def parse_settings(text: str, file: Path) -> Settings:
    """Settings of a text that stands at `file`; raises Misconfigured."""
    yaml = YAML(typ="rt")
    yaml.version = (1, 2)
    try:
        tree = yaml.load(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark else str(file)
        problem = getattr(error, "problem", None) or "not readable as YAML"
        raise Misconfigured(str(problem).splitlines()[0], where=where, hint="mend the YAML") from None
    if not isinstance(tree, dict):
        raise Misconfigured(
            "the settings are no mapping", where=f"{file}:1", hint="start from `doorward init`'s example"
        )
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        where = f"{file}:{_line(tree, first['loc'])}"
        raise Misconfigured(_sentence(first), where=where, hint="see docs/settings.md for each key") from None
    settings = _with_absolute_paths(settings, file.parent)
    _check_sense(settings, tree, file)
    return settings


def _sentence(error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    match error["type"]:
        case "extra_forbidden" if error["loc"][-1] in _LATER:
            return f"'{key}' is not supported yet"
        case "extra_forbidden":
            return f"unknown key '{key}'"
        case "missing":
            return f"the key '{key}' is missing"
        case _:
            return f"'{key}': {error['msg'].removeprefix('Value error, ')}"


def _line(tree: Any, location: tuple[int | str, ...]) -> int:
    line = 0
    for key in location:
        try:
            marks = tree.lc
            line = (marks.key(key) if isinstance(tree, dict) else marks.item(key))[0]
            tree = tree[key]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
    return line + 1


def _with_absolute_paths(settings: Settings, folder: Path) -> Settings:
    def place(path: Path | None) -> Path | None:
        return None if path is None else (folder / path.expanduser()).absolute()

    def secret(source: SecretSettings | None) -> SecretSettings | None:
        return None if source is None else source.model_copy(update={"file": place(source.file)})

    def tls(pair: TlsSettings | None) -> TlsSettings | None:
        return pair and pair.model_copy(update={"cert": place(pair.cert), "key": place(pair.key)})

    console = settings.console
    if console is not None:
        scheme = "https" if console.tls else "http"
        console = console.model_copy(
            update={
                "client_secret": secret(console.client_secret),
                "tls": tls(console.tls),
                "public_url": (console.public_url or f"{scheme}://{_shown(console.listen)}").rstrip("/"),
            }
        )
    return settings.model_copy(
        update={
            "tls": tls(settings.tls),
            "console": console,
            "ledger": settings.ledger.model_copy(update={"path": place(settings.ledger.path)}),
            "policies": place(settings.policies),
            "ca": place(settings.ca),
            "credentials": {
                alias: credential.model_copy(update={"secret": secret(credential.secret)})
                for alias, credential in settings.credentials.items()
            },
        }
    )


def _shown(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _check_sense(settings: Settings, tree: Any, file: Path) -> None:
    """What no single key can tell: listeners off loopback, aliases, audiences."""

    def wrong(message: str, *location: str, hint: str) -> Misconfigured:
        return Misconfigured(message, where=f"{file}:{_line(tree, location)}", hint=hint)

    if settings.tls is None and not ipaddress.ip_address(settings.listen[0]).is_loopback:
        raise wrong(
            "listen is off loopback without TLS, so tokens would cross the network in clear",
            "listen",
            hint="listen on 127.0.0.1, or set tls: {cert: ..., key: ...}",
        )
    by_url: dict[str, str] = {}
    for alias, each in settings.issuers.items():
        try:
            issuer_of(alias, each)
        except Misconfigured as error:
            raise wrong(error.message, "issuers", alias, "issuer", hint=error.hint) from None
        if by_url.setdefault(each.issuer, alias) != alias:
            raise wrong(
                f"'{alias}' and '{by_url[each.issuer]}' are one issuer, and a token names its issuer alone",
                "issuers",
                alias,
                "issuer",
                hint="keep one alias for each issuer",
            )
    console = settings.console
    if console is None:
        return
    if console.listen == settings.listen or console.listen[1] == 0:
        raise wrong("console.listen needs a port of its own", "console", "listen", hint="write 127.0.0.1:8081")
    public = urlsplit(console.public_url)
    if public.scheme not in ("http", "https") or not public.hostname or public.path or public.query or public.fragment:
        raise wrong(
            "console.public_url is no URL of a scheme and a host",
            "console",
            "public_url",
            hint="write it as https://doorward.example, without a path",
        )
    if console.tls is None and not ipaddress.ip_address(console.listen[0]).is_loopback:
        raise wrong(
            "console.listen is off loopback without TLS",
            "console",
            "listen",
            hint="listen on 127.0.0.1, or set console.tls: {cert: ..., key: ...}",
        )
    issuer = settings.issuers.get(console.issuer)
    if issuer is None:
        raise wrong(
            f"console.issuer names no issuer: '{console.issuer}'",
            "console",
            "issuer",
            hint=f"use one of: {', '.join(settings.issuers)}",
        )
    if any(other.audience == console.client_id for other in settings.issuers.values()):
        raise wrong(
            "console.client_id is the audience of agents' tokens, so an agent's token could open the console",
            "console",
            "client_id",
            hint="register another client for the console",
        )
    for role in (*console.roles.viewer, *console.roles.reviewer):
        if role.partition(":")[0] not in settings.issuers or not role.partition(":")[2]:
            raise wrong(f"'{role}' is no group", "console", "roles", hint="write groups as ISSUER-ALIAS:GROUP")
