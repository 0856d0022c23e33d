"""The keys of `doorward.yaml` as frozen models: their forms and defaults, each by itself.

What no single key can tell is checked in `file`. Holds no secret, only where it stands.
"""

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from doorward.core.units import parse_duration_s, parse_size_bytes
from doorward.errors import Misconfigured

# Headers in which a credential would be something else; `credentials.spec` refuses them too.
_NOT_FOR_SECRETS = re.compile(
    r"host|content-.*|transfer-encoding|connection|keep-alive|te|trailer|upgrade|expect|proxy-.*|doorward-.*", re.I
)


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
    """Limits on decoded bytes, connections and waiting."""

    request_body: SizeBytes = 16 << 20
    response_body: SizeBytes = 64 << 20
    recorded_body: Annotated[SizeBytes, Field(le=16 << 20)] = 4 << 20  # a frame to the ledger has 64 MiB
    header: Annotated[SizeBytes, Field(ge=1 << 10, le=1 << 20)] = 64 << 10
    stream_event: Annotated[SizeBytes, Field(ge=1 << 10, le=64 << 20)] = 4 << 20
    head_wait: Annotated[DurationS, Field(ge=1, le=600)] = 10
    connections: int = Field(default=1000, ge=1, le=100_000)
    connections_per_principal: int = Field(default=250, ge=1, le=100_000)


class RecordSettings(_Part):
    """How closely the record follows what streams."""

    stream_lag: Annotated[DurationS, Field(ge=1, le=60)] = 1


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
    record: RecordSettings = RecordSettings()
