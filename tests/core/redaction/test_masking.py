from typing import Any

import pytest
from msgspec import Raw

from doorward.core.redaction.automaton import State
from doorward.core.redaction.document import Unreadable
from doorward.core.redaction.masking import Masking
from doorward.core.redaction.rules import compile_rules
from doorward.core.redaction.steps import finish
from tests.core.redaction.reference import REPLACER, rules


def masking(*pairs: tuple[str, str], plain: bool = True) -> tuple[Masking, State]:
    automaton = compile_rules(rules(*pairs))
    return Masking(automaton, REPLACER, plain=plain), finish(automaton.start(b"", plain=False))


def masked(body: bytes, *pairs: tuple[str, str]) -> Any:
    mask, root = masking(*pairs)
    top: list[Any] = [None]
    mask.queue(root, Raw(body), top, 0, mask.tally.root, 1)
    finish(mask.drain())
    return _plain(top[0])


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return bytes(value).decode()


def test_objects_of_one_array_are_opened_together() -> None:
    body = b'[{"a":1,"b":[1.0 ]},{"b":2},{"a":"12345678","a":"abcdefgh"}]'
    assert masked(body, ("$[*].a", "json-null")) == [{"a": "null", "b": "[1.0 ]"}, {"b": "2"}, {"a": "null"}]
    assert masked(body, ("$[*].a", "sentinel"))[2] == {"a": f'"{REPLACER.sentinel}"'}
    assert masked(body, ("$[*].z", "sentinel"), ("$[*].a", "json-null"))[1] == {"b": "2"}
    assert masked(body, ("$[*].a", "remove")) == [{"b": "[1.0 ]"}, {"b": "2"}, {}]
    assert masked(body, ("$[*].a", "keep-last-4"))[2] == {"a": '"****efgh"'}
    assert masked(body, ("$..a", "json-null"))[0] == {"a": "null", "b": ["1.0"]}


def test_other_arrays_are_opened_one_by_one() -> None:
    assert masked(b'[{"a":1},2]', ("$[*].a", "json-null")) == [{"a": "null"}, "2"]
    assert masked(b'[{"a":1},{"a":2}]', ("$[*]", "remove"), ("$..a", "json-null")) == []
    assert masked(b'[{"a":1},{"a":2}]', ("$[1].a", "json-null")) == ['{"a":1}', {"a": "null"}]


def test_what_a_value_cannot_hold_is_not_opened() -> None:
    mask, root = masking(("$..password", "remove"))
    long = b'{"a":"' + b"x" * 50 + b'"}'
    assert mask.narrowed(root, Raw(long)) is None
    assert mask.narrowed(root, Raw(b'"password"')) is None
    assert mask.narrowed(root, Raw(b'{"a":1}')) is root
    assert mask.narrowed(root, Raw(b'{"a":{"password":"' + b"x" * 50 + b'"}}')) is not None
    spelled, start = masking(("$..password", "remove"), plain=False)
    assert spelled.narrowed(start, Raw(long)) is start


def test_depth_is_limited() -> None:
    mask, root = masking(("$..a", "remove"))
    with pytest.raises(Unreadable, match="too-deep"):
        mask.expanded(root, 513)


def test_work_is_done_in_steps() -> None:
    mask, root = masking(("$..a", "remove"), plain=False)
    body = Raw(b"[" + b",".join([b'[{"b":1}]'] * 5_000) + b"]")
    mask.queue(root, body, [None], 0, mask.tally.root, 1)
    assert len(list(mask.drain())) > 3
