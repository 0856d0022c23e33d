"""What CONNECT settled for a connection: who asked, and for which host and port.

Kept beside the connection and read by every step that runs inside the tunnel.
"""

from dataclasses import dataclass
from weakref import WeakKeyDictionary

from mitmproxy import connection


@dataclass(frozen=True, slots=True, repr=False)
class Tunnel:
    """One accepted CONNECT; no repr, because of the token."""

    token: str  # as it came, to be verified again at each request
    label: str
    host: str
    port: int
    principal: str  # whose token it is


type Tunnels = WeakKeyDictionary[connection.Client, Tunnel]


def new_tunnels() -> Tunnels:
    """An empty register."""
    return WeakKeyDictionary()
