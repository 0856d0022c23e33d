"""Where one request goes, and with whom it may share a connection.

Made by `dial` when address and name are checked; two requests may use one connection to a
target only where their routes are equal. Knows no socket: `mitm.upstream` opens them.
"""

from dataclasses import dataclass

from doorward.private_files import FileMark


@dataclass(frozen=True, slots=True)
class Route:
    """One way to a target, for one principal and one generation of a credential."""

    target: str
    address: str  # that was checked, and is dialled
    port: int
    host: str  # the name that the target must prove
    is_tls: bool
    ca: str | None  # file of authorities; None for the system's
    trust: FileMark | None  # the state of that file
    credential: str | None
    generation: str | None
    principal: str
