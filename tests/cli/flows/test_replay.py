import pytest

from tests.parts.recorded import Recorded


@pytest.mark.parametrize(
    "address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:80", "localhost:1", "127.0.0.1", "127.0.0.1:70000"]
)
def test_it_listens_on_loopback_alone(recorded: Recorded, address: str) -> None:
    ran = recorded.ask("flows", "replay", "--why", "x", "--listen", address)
    assert (ran.code, ran.out) == (2, "")
    assert recorded.entries("bodies.read") == []


def test_without_a_reason_nothing_is_read(recorded: Recorded) -> None:
    for why in ((), ("--why", " ")):
        assert recorded.ask("flows", "replay", *why).code == 2
    assert recorded.entries("bodies.read") == []
