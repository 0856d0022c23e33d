import gc

from doorward.gateway.tunnels import Tunnel, new_tunnels
from tests.parts.flows import client


def test_a_tunnel_ends_with_its_connection_and_shows_no_token() -> None:
    tunnels = new_tunnels()
    of = client()
    tunnels[of] = Tunnel("t0ken", "label", "billing.internal", 443, "corp:agent-7")
    assert "t0ken" not in repr(tunnels[of])
    assert client() not in tunnels
    del of
    gc.collect()
    assert len(tunnels) == 0
