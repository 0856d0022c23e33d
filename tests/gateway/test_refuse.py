import json
from typing import Any

import pytest

from doorward.core.policy import Policy
from doorward.errors import Conflict, DoorwardError, Refused, TargetFailed, Unauthenticated, Unavailable, Withheld
from doorward.gateway.exchange import Exchange
from doorward.gateway.refuse import denied, problem_response, refuse, unknown_host
from doorward.model import Decision, Hold, HoldState, Verdict
from tests.parts.entries import NOW
from tests.parts.flows import client, flow_for


def page(error: DoorwardError, exchange: Exchange | None = None) -> tuple[dict[str, Any], dict[str, str]]:
    exchange = exchange or Exchange(client="127.0.0.1")
    response = problem_response(error, exchange, exchange.executed)
    assert response.status_code == error.status
    return json.loads(response.content or b""), dict(response.headers)


def test_a_problem_says_what_why_whether_and_what_next() -> None:
    exchange = Exchange(client="127.0.0.1", id="r1", refused_rules=("deny x",))
    problem, headers = page(Refused("it is denied", cause="policy", hint="ask for less"), exchange)
    assert problem == {
        "type": "urn:doorward:refusal:policy",
        "title": "refused by policy",
        "status": 403,
        "detail": "it is denied",
        "cause": "policy",
        "executed": "no",
        "rules": ["deny x"],
        "next": "ask for less",
        "request": "r1",
    }
    assert headers["Doorward-Request"] == "r1"
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["Cache-Control"] == "no-store"
    assert "Retry-After" not in headers


def test_only_what_was_not_sent_invites_to_repeat() -> None:
    _, headers = page(Unavailable("away", cause="ledger-away"))
    assert headers["Retry-After"] == "5"
    _, headers = page(Unavailable("away", cause="ledger-away"), Exchange(client="", sent=True))
    assert "Retry-After" not in headers


@pytest.mark.parametrize(
    ("error", "closes"),
    [
        (Unauthenticated("who", cause="token-missing"), True),
        (Unavailable("away", cause="ledger-away"), False),
        (Conflict("used", cause="hold-used"), False),
        (TargetFailed("gone", cause="gone"), False),
        (Withheld("echo", cause="echo"), False),
    ],
)
def test_what_lasts_as_long_as_the_connection_closes_it(error: DoorwardError, closes: bool) -> None:
    _, headers = page(error)
    assert (headers.get("Connection") == "close") is closes
    assert ("Proxy-Authenticate" in headers) is isinstance(error, Unauthenticated)


@pytest.mark.parametrize("state", HoldState)
def test_an_open_hold_is_named(state: HoldState) -> None:
    hold = Hold("h1", state, "d" * 64, "corp:a", None, "billing", (), NOW, NOW, "r1")
    problem, headers = page(Unavailable("wait", cause="held"), Exchange(client="", hold=hold))
    assert ("hold" in problem) is (state is HoldState.OPEN)
    assert ("Doorward-Hold" in headers) is (state is HoldState.OPEN)


def test_refusing_replaces_any_answer() -> None:
    flow = flow_for(client())
    exchange = Exchange(client="")
    refuse(flow, exchange, denied(Decision(Verdict.DENY, "denied by x", ("deny x",))))
    assert exchange.refusal is not None
    assert flow.response is not None
    assert flow.response.status_code == 403


def test_an_unknown_host_is_cut_short() -> None:
    error = unknown_host(Policy({}, {}), "a" * 5000, 443)
    assert len(error.message) < 200
    assert error.hint == "the policy has no targets yet"
