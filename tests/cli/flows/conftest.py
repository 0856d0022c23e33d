import pytest

from tests.cli.conftest import deployed, terminal
from tests.parts.command import Terminal
from tests.parts.entries import intent, outcome, refused
from tests.parts.recorded import MASKS, Recorded

__all__ = ["deployed", "terminal"]


def head(path: str, method: str = "PATCH", *headers: tuple[str, str]) -> bytes:
    """A recorded head."""
    listed = ", ".join(f'["{name}", "{value}"]' for name, value in headers)
    return b'{"method": "%b", "url": "https://billing.internal:443%b", "headers": [%b]}' % (
        method.encode(),
        path.encode(),
        listed.encode(),
    )


@pytest.fixture
def recorded(deployed: Terminal) -> Recorded:
    """r1: a PATCH that was answered, masked; r2: refused; r3: sent to another target, outcome unknown."""
    made = Recorded(deployed)
    made.during(
        lambda worker: worker.append(
            intent(
                "r1",
                {
                    "request_head": head("/v1/customers/1?page=2", "PATCH", ("x-note", "Grüße")),
                    "request_body": b"\x1b[2J",
                },
                rules=["role writer"],
            )
        ),
        lambda worker: worker.append(
            outcome(
                "r1",
                {
                    "response_head": b'{"status": 200, "headers": [["content-type", "application/json"]]}',
                    "response_body": b'{"a": 1.10, "name": "K\\u00f6ln"}',
                },
                masks=MASKS,
            )
        ),
        lambda worker: worker.append(refused("r2", cause="policy", rules=["deny no secrets"])),
        lambda worker: worker.append(
            intent(
                "r3", {"request_head": head("/v1/x%20y", "GET")}, target="crm", principal="corp:agent-8", sent_bytes=0
            )
        ),
    )
    return made
