"""Random documents, rules and spellings for the properties of the masking engine."""

import json
from typing import Any

from hypothesis import strategies as st

from tests.core.redaction.reference import dump

NAMES = ["a", "b", "c", "", "é", "😀", "x/y", "it's", "password"]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers(-(10**25), 10**25)
    | st.floats(-10, 10)
    | st.sampled_from(["", "x", "y", "secret-value", "0123456789 é😀"])
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=25,
)


def quoted(name: str) -> str:
    return "'" + name.replace("'", "\\'") + "'"


SEGMENT = (
    st.sampled_from(NAMES).map(lambda name: f"[{quoted(name)}]")
    | st.just("[*]")
    | st.lists(st.sampled_from(NAMES), min_size=2, max_size=3).map(lambda names: f"[{','.join(map(quoted, names))}]")
)
INDEX = st.sampled_from(["[0]", "[-1]", "[1]", "[0,2]", "[1:]", "[:-1]", "[::2]", "[::-1]"])
LITERALS = st.sampled_from(["1", "0", "-1", "1.5", "true", "false", "null", "'x'", "'secret-value'"])
CONDITION = st.sampled_from(["@", "@.a", "@['é']", "@.a.b", "@.b[0]", "@[-1]"]).flatmap(
    lambda query: (
        st.just(query)
        | st.tuples(st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), LITERALS).map(
            lambda rest: f"{query} {' '.join(rest)}"
        )
    )
)
FILTER = st.lists(CONDITION, min_size=1, max_size=2).map(lambda conditions: f"[?({' && '.join(conditions)})]")


def paths_of(segment: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    steps = st.tuples(st.sampled_from(["", "", ".."]), segment).map("".join)
    return st.lists(steps, max_size=4).map(lambda parts: "$" + "".join(parts))


def rules_of(segment: st.SearchStrategy[str]) -> st.SearchStrategy[list[tuple[str, str]]]:
    hows = st.sampled_from(["remove", "sentinel", "json-null", "hmac", "keep-last-4"])
    return st.lists(st.tuples(paths_of(segment), hows), min_size=1, max_size=4)


ANY_RULES = rules_of(SEGMENT | INDEX | FILTER)


def spelled(value: Any, random: Any) -> bytes:
    """JSON with some characters of some strings escaped and, now and then, a member said twice."""
    if isinstance(value, dict):
        members = [spelled(key, random) + b":" + spelled(item, random) for key, item in value.items()]
        members += [member for member in members if random.random() < 0.2]
        return b"{" + b",".join(members) + b"}"
    if isinstance(value, list):
        return b"[" + b" , ".join(spelled(item, random) for item in value) + b"]"
    if isinstance(value, str):
        pieces = [
            json.dumps(c)[1:-1] if ord(c) > 0xFFFF and random.random() < 0.5
            else f"\\u{ord(c):04{random.choice('xX')}}" if ord(c) <= 0xFFFF and random.random() < 0.2
            else json.dumps(c, ensure_ascii=False)[1:-1]
            for c in value
        ]  # fmt: skip
        return b'"' + "".join(pieces).encode() + b'"'
    return dump(value)
