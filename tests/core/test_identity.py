import pytest

from doorward.core.identity import principal_from_claims
from doorward.errors import Unauthenticated
from doorward.model import Principal

OWNERS = {"corp:agent-7": "corp:alice", "other:agent-7": "other:eve"}


def read(**claims: object) -> Principal:
    return principal_from_claims("corp", claims, groups_claim="groups", owner_claim="owner", owners=OWNERS)


def test_subject_groups_and_owner_are_qualified() -> None:
    principal = read(sub="agent-9", groups=["agents", "staff", "agents"], owner="bob")
    assert principal == Principal("corp", "agent-9", ("corp:agents", "corp:staff"), "corp:bob")
    assert principal.name == "corp:agent-9"


def test_a_group_cannot_speak_for_another_issuer() -> None:
    assert read(sub="a", groups=["other:admins"]).groups == ("corp:other:admins",)


def test_no_groups_and_no_owner() -> None:
    assert read(sub="agent-9") == Principal("corp", "agent-9")


def test_the_map_names_an_owner_where_the_issuer_does_not() -> None:
    assert read(sub="agent-7").owner == "corp:alice"
    assert read(sub="agent-7", owner=None).owner == "corp:alice"


def test_the_issuer_wins_over_the_map() -> None:
    assert read(sub="agent-7", owner="bob").owner == "corp:bob"


def test_claims_that_nobody_configured_are_not_read() -> None:
    claims = {"sub": "agent-8", "groups": ["agents"], "owner": "bob"}
    assert principal_from_claims("corp", claims, groups_claim=None, owner_claim=None, owners=OWNERS) == Principal(
        "corp", "agent-8"
    )


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"sub": ""},
        {"sub": None},
        {"sub": 7},
        {"sub": ["agent-7"]},
        {"sub": "a" * 256},
        {"sub": " alice"},
        {"sub": "alice\n"},
        {"sub": "al\x00ice"},
        {"sub": "al\u202eice"},
        {"sub": "al\u200bice"},
        {"sub": "a", "groups": "agents"},
        {"sub": "a", "groups": None},
        {"sub": "a", "groups": {"agents": True}},
        {"sub": "a", "groups": ["agents", 1]},
        {"sub": "a", "groups": [["agents"]]},
        {"sub": "a", "groups": [""]},
        {"sub": "a", "groups": ["a\u2066b"]},
        {"sub": "a", "owner": ""},
        {"sub": "a", "owner": 1},
        {"sub": "a", "owner": ["bob"]},
    ],
    ids=ascii,
)
def test_malformed_claims(claims: dict[str, object]) -> None:
    with pytest.raises(Unauthenticated) as caught:
        read(**claims)
    assert (caught.value.cause, caught.value.status) == ("token-malformed", 407)
