from dataclasses import fields, replace
from typing import Any

import pytest

from doorward.gateway.route import Route

ROUTE = Route("billing", "127.0.0.1", 443, "billing.internal", True, None, None, "token", "g1", "corp:agent-7")
OTHERS: dict[str, Any] = {
    "target": "other",
    "address": "127.0.0.2",
    "port": 444,
    "host": "other.internal",
    "is_tls": False,
    "ca": "other.pem",
    "trust": (1, 2, 3, 4, 5),
    "credential": None,
    "generation": "g2",
    "principal": "corp:agent-8",
}


def test_equal_routes_are_one() -> None:
    assert replace(ROUTE) == ROUTE
    assert len({ROUTE, replace(ROUTE)}) == 1


@pytest.mark.parametrize("name", [each.name for each in fields(Route)])
def test_each_field_parts_two_routes(name: str) -> None:
    assert replace(ROUTE, **{name: OTHERS[name]}) != ROUTE
