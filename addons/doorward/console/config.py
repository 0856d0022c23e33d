"""What the console has to be told: plain values, made from the settings by the command."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from doorward.console.routes import Role
from doorward.model import Principal
from doorward.oidc.issuer import Issuer


@dataclass(frozen=True, slots=True)
class Tls:
    """The certificate of the listener, as PEM files."""

    cert: Path
    key: Path


@dataclass(frozen=True, slots=True)
class ConsoleConfig:
    """Where the console listens, who may log in, and for how long."""

    issuer: Issuer
    client_id: str
    client_secret: str | None = field(repr=False)
    roles: Mapping[str, tuple[str, ...]]  # by the names of Role; qualified groups: "corp:sre"
    public_url: str  # port 0 stands for the one that is bound
    listen: tuple[str, int] = ("127.0.0.1", 8081)  # port 0: any
    tls: Tls | None = None
    session_s: int = 8 * 3600
    idle_s: int = 3600
    recent_flows: int = 200
    most_flows: int = 500

    def roles_of(self, person: Principal) -> frozenset[Role]:
        """Return what the person's groups give."""
        return frozenset(Role(role) for role, groups in self.roles.items() if not set(groups).isdisjoint(person.groups))
