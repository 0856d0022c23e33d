from typing import Any

import pytest

from doorward.core.canonical import MAX_NUMBER
from doorward.core.entry import (
    KINDS,
    MAX_ENTRY_BYTES,
    BodyRef,
    Role,
    check_entry,
    check_writer,
    entry_bytes,
)
from doorward.errors import Refused, TooLarge

WORKER_WRITES = {
    "gateway.started",
    "gateway.stopped",
    "settings.loaded",
    "policy.loaded",
    "policy.rejected",
    "credential.loaded",
    "connection.refused",
    "request.refused",
    "request.intent",
    "request.outcome",
    "stream.part",
    "hold.withdrawn",
    "hold.used",
}
EXAMPLES = {"text": "x", "number": 1, "flag": True, "list": [], "object": {}, "null": None}


def fields_of(kind: str) -> dict[str, Any]:
    row = KINDS[kind]
    return {name: EXAMPLES[types.split("|")[0]] for name, types in {**row.fields, **row.optional}.items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("role", Role)
def test_each_role_appends_its_kinds_and_no_other(role: Role, kind: str) -> None:
    row = KINDS[kind]
    if role in row.writers and row.through == "append":
        check_writer(kind, role, "append")
    else:
        with pytest.raises(Refused) as refused:
            check_writer(kind, role, "append")
        assert refused.value.cause == "kind-not-allowed"


def test_a_worker_appends_no_approval_and_no_login() -> None:
    appended = {kind for kind, row in KINDS.items() if Role.WORKER in row.writers and row.through == "append"}
    assert appended == WORKER_WRITES
    assert all(row.writers == {Role.CONSOLE} for kind, row in KINDS.items() if kind.startswith("login."))
    assert KINDS["hold.approved"].writers == KINDS["hold.denied"].writers == {Role.CONSOLE}


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(Refused):
        check_writer("hold.approved\n", Role.CONSOLE, "append")


@pytest.mark.parametrize("kind", KINDS)
def test_each_field_is_checked(kind: str) -> None:
    whole = fields_of(kind)
    check_entry(kind, whole, ())
    required = {name: whole[name] for name in KINDS[kind].fields}
    check_entry(kind, required, ())
    for name in required:
        with pytest.raises(Refused, match=name):
            check_entry(kind, {k: v for k, v in whole.items() if k != name}, ())
    for name in whole:
        with pytest.raises(Refused, match=name):
            check_entry(kind, {**whole, name: 1.5}, ())
    with pytest.raises(Refused, match="surplus"):
        check_entry(kind, {**whole, "surplus": 1}, ())


def test_a_flag_is_no_number() -> None:
    with pytest.raises(Refused):
        check_entry("request.intent", {**fields_of("request.intent"), "sent_bytes": True}, ())


def test_bodies_have_names_that_the_kind_knows() -> None:
    check_entry("request.intent", fields_of("request.intent"), ("request_head", "request_body"))
    check_entry("policy.loaded", fields_of("policy.loaded"), ("prod.yaml", "größe.yaml"))
    with pytest.raises(Refused, match="response_body"):
        check_entry("request.intent", fields_of("request.intent"), ("response_body",))


def test_the_bytes_are_those_of_the_design() -> None:
    built = entry_bytes(7, "2026-11-23T08:00:00.000001Z", "hold.expired", {"hold": "h1"}, {"b": BodyRef("ab" * 32, 3)})
    assert built == (
        b'{"bodies":{"b":{"bytes":3,"digest":"' + b"ab" * 32 + b'"}},"hold":"h1","kind":"hold.expired",'
        b'"seq":7,"time":"2026-11-23T08:00:00.000001Z","v":1}'
    )
    assert b"bodies" not in entry_bytes(7, "t", "hold.expired", {"hold": "h1"})


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(1.0, id="float"),
        pytest.param(MAX_NUMBER + 1, id="huge number"),
        pytest.param(-MAX_NUMBER - 1, id="huge negative number"),
        pytest.param(b"bytes", id="bytes"),
        pytest.param({1: "x"}, id="name that is a number"),
        pytest.param("\ud800", id="half a character"),
        pytest.param({"\ud800": 1}, id="half a character as a name"),
        pytest.param({"é": "\ud800"}, id="half a character beside a long name"),
        pytest.param(nested(5000), id="too deep"),
        pytest.param(object(), id="anything"),
    ],
)
def test_what_no_entry_can_hold_is_refused(value: Any) -> None:
    with pytest.raises(Refused) as refused:
        entry_bytes(1, "t", "hold.expired", {"hold": value})
    assert refused.value.cause == "entry-malformed"


@pytest.mark.parametrize("name", ["v", "seq", "time", "kind", "bodies"])
def test_reserved_names_are_refused(name: str) -> None:
    with pytest.raises(Refused, match="reserved"):
        entry_bytes(1, "t", "hold.expired", {name: "x"})


def test_the_limit_counts_bytes() -> None:
    empty = len(entry_bytes(1, "t", "hold.expired", {"hold": ""}))
    assert len(entry_bytes(1, "t", "hold.expired", {"hold": "x" * (MAX_ENTRY_BYTES - empty)})) == MAX_ENTRY_BYTES
    with pytest.raises(TooLarge) as refused:
        entry_bytes(1, "t", "hold.expired", {"hold": "x" * (MAX_ENTRY_BYTES - empty + 1)})
    assert refused.value.cause == "entry-too-large"
