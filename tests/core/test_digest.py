import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from doorward.core.digest import VOLATILE, action_digest
from doorward.model import Action, Principal, Risk

KEY = bytes(range(32))
ACTION = Action(
    principal=Principal("corp", "agent-7", ("corp:agents",), "corp:alice"),
    target="crm",
    target_url="https://crm.internal:443",
    protocol="http",
    verb="PATCH",
    path="/v1/customers/1",
    raw_path="/v1/customers/1",
    query=(("a", "1"),),
    raw_query="a=1",
    headers=(("content-type", "application/json"), ("accept", "*/*")),
    body_digest="00" * 32,
    risk=Risk.MEDIUM,
)
VECTORS = sorted((Path(__file__).parent.parent / "vectors" / "digest").glob("*.json"))


def digest(action: Action = ACTION, **changed: Any) -> str:
    given: dict[str, Any] = {"key": KEY, "credential": "crm-token", "generation": "g1", "epoch": 0}
    return action_digest(action=action, **(given | changed))


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_digests_stay_what_they_were(path: Path) -> None:
    vector = json.loads(path.read_text())
    action = replace(
        ACTION,
        principal=Principal(*vector["principal"]),
        target=vector["target"],
        target_url=vector["url"],
        verb=vector["verb"],
        raw_path=vector["path"],
        raw_query=vector["query"],
        headers=tuple((name, value) for name, value in vector["headers"]),
        body_digest=vector["body"],
    )
    assert (
        action_digest(
            bytes.fromhex(vector["key"]),
            action,
            credential=vector["credential"],
            generation=vector["generation"],
            epoch=vector["epoch"],
        )
        == vector["digest"]
    )


def test_there_are_vectors() -> None:
    assert len(VECTORS) >= 3


CHANGED = [
    replace(ACTION, principal=Principal("corp", "agent-8")),
    replace(ACTION, principal=Principal("other", "agent-7")),
    replace(ACTION, target="billing"),
    replace(ACTION, target_url="https://other.internal:443"),
    replace(ACTION, verb="PUT"),
    replace(ACTION, raw_path="/v1/customers/2"),
    replace(ACTION, raw_path="/v1/customers/%31"),
    replace(ACTION, raw_query="a=2"),
    replace(ACTION, raw_query=""),
    replace(ACTION, headers=(("content-type", "application/json"),)),
    replace(ACTION, headers=(("content-type", "application/json"), ("accept", "*"))),
    replace(ACTION, headers=(("content-type", "application/json"), ("accepts", "*/*"))),
    replace(ACTION, headers=(*ACTION.headers, ("accept", "*/*"))),
    replace(ACTION, body_digest="11" * 32),
]


def test_whatever_the_target_gets_changes_the_digest() -> None:
    digests = {digest(changed) for changed in [ACTION, *CHANGED]}
    assert len(digests) == len(CHANGED) + 1


def test_deployment_credential_and_epoch_change_the_digest() -> None:
    digests = {
        digest(),
        digest(key=bytes(32)),
        digest(credential="other"),
        digest(credential=None),
        digest(generation="g2"),
        digest(generation=None),
        digest(epoch=1),
    }
    assert len(digests) == 7


@pytest.mark.parametrize(
    "name",
    [
        "user-agent", "date", "accept-encoding", "traceparent", "tracestate", "kubectl-session", "sec-websocket-key",
        "content-length", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade",
        "proxy-connection",
    ],
)  # fmt: skip
def test_a_volatile_header_does_not(name: str) -> None:
    assert name in VOLATILE
    assert digest(replace(ACTION, headers=(*ACTION.headers, (name, "x")))) == digest()


@pytest.mark.parametrize(
    "action",
    [
        replace(ACTION, risk=Risk.HIGH),
        replace(ACTION, headers=tuple(reversed(ACTION.headers))),
        replace(ACTION, principal=Principal("corp", "agent-7")),
        replace(ACTION, path="/shown/otherwise"),
        replace(ACTION, open_ended=True),
    ],
    ids=["risk", "order of different headers", "groups and owner", "decoded path", "open-ended"],
)
def test_what_is_no_part_of_the_request_does_not(action: Action) -> None:
    assert digest(action) == digest()


def test_order_of_equal_headers_matters() -> None:
    one = replace(ACTION, headers=(("x-a", "1"), ("x-a", "2")))
    other = replace(ACTION, headers=(("x-a", "2"), ("x-a", "1")))
    assert digest(one) != digest(other)
