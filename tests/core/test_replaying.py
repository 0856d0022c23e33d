import json
from typing import Any

import pytest

from doorward.core.policy_file import load_policy
from doorward.core.recorded import Kept, Message, RecordedFlow
from doorward.core.redaction.masks import Replacer, sentinel_for
from doorward.core.replaying import ANY_BODY, Keys, ReplayKey, Tape
from tests.parts.recorded import recorded_flow

KEY = b"k" * 32
SENTINEL = sentinel_for(KEY)
RECORD = {"apply_to": "record"}
JSON = (("content-type", "application/json"),)


def keys(*masks: dict[str, Any], recorded_bytes: int = 1000, **target: Any) -> Keys:
    policy: dict[str, Any] = {
        "targets": {
            "billing": {"kind": "http", "url": "http://127.0.0.1:9", "hosts": ["billing.internal"], **target},
        },
        "roles": {"all": [{"paths": ["/**"]}]},
        "bindings": [{"role": "all", "target": "billing", "groups": ["corp:agents"]}],
    }
    if masks:
        policy["masks"] = [{"match": {"target": "billing"}, **mask} for mask in masks]
    loaded = load_policy({"p.yaml": json.dumps(policy)}, issuers=["corp"], credentials=[])
    return Keys.under(loaded, Replacer(SENTINEL, KEY), recorded_bytes=recorded_bytes)


def asked(of: Keys, raw_target: str = "/v1/a", body: bytes = b"", media: str = "application/json") -> ReplayKey:
    return of.asked(of.policy.targets["billing"], "POST", raw_target, media if body else None, body)


def recorded(
    raw_target: str = "/v1/a", body: bytes = b"", kept: Kept | None = None, media: str = "application/json"
) -> RecordedFlow:
    state = kept or (Kept.WHOLE if body else Kept.NONE)
    message = Message((("content-type", media),) if body else (), body, state, len(body))
    return recorded_flow(method="POST", url=f"http://127.0.0.1:9{raw_target}", asked=message)


@pytest.mark.parametrize(
    ("masks", "clear", "as_recorded"),
    [
        ((), ("/v1/a%20b?x=1&y", b'{"a":1.10}'), ("/v1/a%20b?x=1&y", b'{"a":1.10}')),
        (({"name": "q", "query": ["email"]},), ("/v1/a?email=ann&p=2", b""), (f"/v1/a?email={SENTINEL}&p=2", b"")),
        ((), ("/v1/a?api_key=17", b""), (f"/v1/a?api_key={SENTINEL}", b"")),
        (
            ({"name": "f", "fields": ["$.email"]},),
            ("/v1/a", b'{"email":"ann","n":1}'),
            ("/v1/a", b'{"email":"%s","n":1}' % SENTINEL.encode()),
        ),
        (
            ({"name": "f", "fields": ["$.email"], "replace_with": "remove", **RECORD},),
            ("/v1/a", b'{"email":"ann","n":1}'),
            ("/v1/a", b'{"n":1}'),
        ),
        (
            ({"name": "f", "fields": ["$.iban"], "replace_with": "keep-last-4", **RECORD},),
            ("/v1/a", b'{"iban":"DE0012345678"}'),
            ("/v1/a", b'{"iban":"****5678"}'),
        ),
    ],
    ids=["plain", "query", "secret name", "field", "removed", "keep-last-4"],
)
def test_clear_and_masked_give_one_key(masks: Any, clear: Any, as_recorded: Any) -> None:
    of = keys(*masks)
    assert asked(of, *clear) == of.recorded(recorded(*as_recorded))


def test_an_hmac_is_the_same_from_both_sides() -> None:
    of = keys({"name": "f", "fields": ["$.email"], "replace_with": "hmac", **RECORD})
    made = asked(of, body=b'{"email":"ann"}')
    assert b"ann" not in made.body
    assert of.recorded(recorded(body=made.body)) == made
    assert asked(of, body=b'{"email":"bob"}') != made


def test_bodies_that_no_mask_can_read_are_one_to_the_record_and_here() -> None:
    of = keys({"name": "f", "fields": ["$.email"]})
    made = asked(of, body=b"no json", media="text/plain")
    assert of.recorded(recorded(body=made.body, media="text/plain")) == made


@pytest.mark.parametrize(
    "changes", [("/v1/b", b""), ("/v1/a?x=1", b""), ("/v1/a", b"{}")], ids=["path", "query", "body"]
)
def test_what_differs(changes: Any) -> None:
    of = keys()
    assert asked(of, *changes) != of.recorded(recorded())


def test_a_body_is_compared_as_far_as_it_is_recorded() -> None:
    of = keys(recorded_bytes=4)
    assert asked(of, body=b"abcdefgh", media="text/plain") == of.recorded(recorded(body=b"abcd", kept=Kept.CUT))


def test_where_no_bodies_are_kept_any_will_do() -> None:
    of = keys(record="headers")
    made = asked(of, body=b'{"a": 1}')
    assert made.body == ANY_BODY
    assert of.recorded(recorded(kept=Kept.NOT_KEPT)) == made
    assert asked(of).body == b""


def test_what_cannot_be_keyed() -> None:
    of = keys()
    assert of.recorded(recorded_flow(target="gone")) is None
    assert of.recorded(recorded_flow(url="")) is None


def tape(*flows: RecordedFlow) -> tuple[Tape[str], Keys]:
    of, made = keys(), Tape[str]()
    for flow in flows:
        made.add(flow, of.recorded(flow), lambda each: each.request)
    return made, of


def named(request: str, **changes: Any) -> RecordedFlow:
    made = recorded()
    values = {name: getattr(made, name) for name in made.__dataclass_fields__}
    return RecordedFlow(**(values | changes | {"request": request}))


def test_answers_in_their_order_and_then_the_last_again() -> None:
    made, of = tape(named("a"), named("b"), named("c"))
    assert made.count == 3
    assert [made.next(asked(of)) for _ in range(5)] == ["a", "b", "c", "c", "c"]
    assert made.next(asked(of, "/v1/other")) is None


def test_a_body_that_the_record_lost_stands_for_any() -> None:
    made, of = tape(named("a", asked=Message(JSON, b"", Kept.DELETED, 9)))
    assert made.next(asked(of, body=b"{}")) == "a"


@pytest.mark.parametrize("kept", [Kept.CUT, Kept.NOT_KEPT, Kept.DELETED])
def test_half_an_answer_is_none(kept: Kept) -> None:
    made, of = tape(named("a", answered=Message(JSON, b"", kept)))
    assert (made.count, made.left_out, made.next(asked(of))) == (0, 1, None)
    assert made.why_not(asked(of)) == f"the record does not hold the whole answer ({kept})"
    assert made.why_not(asked(of, "/v1/b")) == "the record holds no such request"


def test_an_answer_that_was_broken_off_is_none() -> None:
    made, of = tape(named("a", cause="agent-gone"))
    assert (made.count, made.left_out) == (0, 1)
    assert made.why_not(asked(of)) == "the record does not hold the whole answer (truncated)"


def test_without_an_answer_there_is_nothing_to_replay() -> None:
    made, _ = tape(named("a", answered=None), named("b", target="gone"))
    assert (made.count, made.left_out) == (0, 2)
