"""`doorward.yaml` and the `DOORWARD_*` environment -> one frozen Settings.

The only reader of the environment. Lies above the adapters on purpose: they get plain
values out of it, never the Settings themselves. A key that is unknown, or that this version
does not serve yet, is an error with the file and line; nothing is ignored.
"""

import hashlib
import ipaddress
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from doorward.core.units import parse_duration_s, parse_size_bytes
from doorward.errors import Misconfigured
from doorward.oidc.issuer import Issuer
from doorward.private_files import read_private

CONFIG_FILE = "doorward.yaml"
# Headers in which a credential would be something else; `credentials.spec` refuses them too.
_NOT_FOR_SECRETS = re.compile(
    r"host|content-.*|transfer-encoding|connection|keep-alive|te|trailer|upgrade|expect|proxy-.*|doorward-.*", re.I
)
_LONGEST_RUNTIME_PATH = 90  # leaves room for the name of a socket
_LATER = frozenset({"stream_event", "client_cert", "drain"})  # known keys that this version does not serve
_MOST_FILES = 500  # of policy, and their bytes in all
_MOST_BYTES = 4 << 20


def _address(text: object) -> tuple[str, int]:
    host, colon, port = str(text).rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r} is no address; write it as 127.0.0.1:8080")
    host = host.removeprefix("[").removesuffix("]")
    try:
        return str(ipaddress.ip_address(host)), int(port)
    except ValueError:
        raise ValueError(f"{host!r} is no IP address; name one, 127.0.0.1 for loopback") from None


def _duration(value: object) -> int:
    try:
        return parse_duration_s(str(value))
    except Misconfigured as error:
        raise ValueError(str(error)) from None


def _size(value: object) -> int:
    try:
        return parse_size_bytes(str(value))
    except Misconfigured as error:
        raise ValueError(str(error)) from None


type Address = Annotated[tuple[str, int], BeforeValidator(_address)]
type DurationS = Annotated[int, BeforeValidator(_duration)]
type SizeBytes = Annotated[int, BeforeValidator(_size)]
type Alias = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
type Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class SecretSettings(_Part):
    """Where a secret comes from: a file of mode 0600, or a variable of the environment."""

    file: Path | None = None
    env: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> "SecretSettings":
        if (self.file is None) == (self.env is None):
            raise ValueError("name exactly one source: file or env")
        return self


class TlsSettings(_Part):
    """Certificate and key of one of our own listeners."""

    cert: Path
    key: Path


class IssuerSettings(_Part):
    """One OpenID provider whose tokens agents may bring."""

    issuer: str
    audience: str
    algorithms: tuple[Algorithm, ...] = Field(default=("RS256", "ES256", "EdDSA"), min_length=1)
    longest: DurationS = 3600
    groups: str | None = "groups"
    owner: str | None = None


class RoleSettings(_Part):
    """Groups whose members see, and decide, at the console."""

    viewer: tuple[str, ...] = ()
    reviewer: tuple[str, ...] = ()


class ConsoleSettings(_Part):
    """The console's listener and its login."""

    listen: Address = ("127.0.0.1", 8081)
    public_url: str = ""
    tls: TlsSettings | None = None
    issuer: Alias
    client_id: str
    client_secret: SecretSettings | None = None
    roles: RoleSettings = RoleSettings()


class CredentialSettings(_Part):
    """A secret that is added on the wire, as a header."""

    header: str = Field(default="Authorization", pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    value: str = Field(default="{secret}", pattern=r"^[ -~]*$")
    secret: SecretSettings

    @field_validator("header")
    @classmethod
    def _frames_nothing(cls, header: str) -> str:
        if _NOT_FOR_SECRETS.fullmatch(header):
            raise ValueError(f"{header} frames or routes a request; Authorization is the usual one")
        return header

    @field_validator("value")
    @classmethod
    def _holds_the_secret(cls, value: str) -> str:
        if value.count("{secret}") != 1 or value != value.strip():
            raise ValueError('it needs {secret} in it once, as in "Bearer {secret}"')
        return value


class HoldSettings(_Part):
    """How long a connection waits, and how holds are bounded."""

    wait: DurationS = 45
    repeat: DurationS = 600
    open_per_principal: int = Field(default=20, ge=1, le=10_000)


class LimitSettings(_Part):
    """Limits on decoded bytes."""

    request_body: SizeBytes = 16 << 20
    response_body: SizeBytes = 64 << 20
    recorded_body: Annotated[SizeBytes, Field(le=16 << 20)] = 4 << 20  # a frame to the ledger has 64 MiB
    header: Annotated[SizeBytes, Field(ge=1 << 10, le=1 << 20)] = 64 << 10


class LedgerSettings(_Part):
    """Where the record stands, and what room it keeps free for approvals."""

    path: Path = Path("var")
    reserve: SizeBytes = 16 << 20


class Settings(_Part):
    """All of `doorward.yaml`; paths are absolute, relative ones having been read from the file's folder."""

    listen: Address = ("127.0.0.1", 8080)
    tls: TlsSettings | None = None
    workers: int = Field(default=1, ge=1, le=64)
    console: ConsoleSettings | None = None
    issuers: Mapping[Alias, IssuerSettings] = Field(min_length=1)
    ledger: LedgerSettings = LedgerSettings()
    policies: Path = Path("policies")
    ca: Path = Path("certs")
    credentials: Mapping[Alias, CredentialSettings] = {}
    hold: HoldSettings = HoldSettings()
    limits: LimitSettings = LimitSettings()


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
            _issuer(alias, each)
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


def issuers_of(settings: Settings) -> tuple[Issuer, ...]:
    """The issuers as the `oidc` room knows them; raises Misconfigured."""
    return tuple(_issuer(alias, each) for alias, each in settings.issuers.items())


def _issuer(alias: str, each: IssuerSettings) -> Issuer:
    return Issuer(
        alias=alias,
        url=each.issuer,
        audience=each.audience,
        algorithms=each.algorithms,
        longest_s=each.longest,
        groups_claim=each.groups,
        owner_claim=each.owner,
    )


def deployment_key_file(settings: Settings) -> Path:
    """Where the deployment's own key stands: beside the record that it is the key to."""
    return settings.ledger.path / "deployment.key"


def runtime_folder(settings: Settings) -> Path:
    """Where the running parts leave their sockets and addresses.

    Beside the record; where that path is too long for a socket (unix(7): 107 bytes), a folder
    of our own among the temporary ones, named after it.
    """
    folder = settings.ledger.path / "run"
    if len(os.fsencode(folder)) <= _LONGEST_RUNTIME_PATH:
        return folder
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"doorward-{os.getuid()}-{name}"


def index_file(settings: Settings) -> Path:
    """The index of the record, for lists."""
    return settings.ledger.path / "index.db"


def read_secret(source: SecretSettings) -> str:
    """The text of a secret of our own (the console's client secret); raises Misconfigured."""
    if source.env is not None:
        text = os.environ.get(source.env, "")
    else:
        assert source.file is not None
        text = read_private(source.file, what="the secret").content.decode("utf-8", "replace")
    if not text.strip():
        raise Misconfigured(f"the secret in {source.file or source.env} is empty", hint="put it there")
    return text.strip()


def read_policy_files(folder: Path) -> dict[str, str]:
    """Text of each `*.yaml` in the folder, by name; raises Misconfigured."""
    try:
        files = sorted(folder.glob("*.yaml"))
        size = sum(file.stat().st_size for file in files)
        if not files:
            raise Misconfigured(f"no policy files in {folder}", hint="put policies as *.yaml there")
        if len(files) > _MOST_FILES or size > _MOST_BYTES:
            raise Misconfigured(f"too much policy in {folder}", hint=f"at most {_MOST_FILES} files and 4 MiB")
        return {file.name: file.read_text(encoding="utf-8") for file in files}
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"cannot read the policies in {folder}: {error}", hint="they are UTF-8 files") from None
