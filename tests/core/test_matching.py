import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core.matching import METHODS, loose_key, method_for_rules, parse_pattern, readings_of, segments_of
from doorward.errors import Misconfigured


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/", "/", True),
        ("/", "/a", False),
        ("/*", "/", False),
        ("/**", "/", False),
        ("/**", "/a", True),
        ("/**", "/a/b/c", True),
        ("/v1/customers", "/v1/customers", True),
        ("/v1/customers", "/v1/Customers", False),
        ("/v1/customers", "/v1/customers/1", False),
        ("/v1/customers", "/v1", False),
        ("/v1/customers/*", "/v1/customers", False),
        ("/v1/customers/*", "/v1/customers/1", True),
        ("/v1/customers/*", "/v1/customers/1/notes", False),
        ("/v1/customers/**", "/v1/customers", False),
        ("/v1/customers/**", "/v1/customers/1", True),
        ("/v1/customers/**", "/v1/customers/1/notes/2", True),
        ("/v1/*/notes", "/v1/a/notes", True),
        ("/v1/*/notes", "/v1/a/b/notes", False),
        ("/v1/**/notes", "/v1/notes", False),
        ("/v1/**/notes", "/v1/a/notes", True),
        ("/v1/**/notes", "/v1/a/b/notes", True),
        ("/v1/**/notes", "/v1/a/notes/b", False),
        ("/v1/**/notes", "/v1/notes/notes", True),
        ("/**/a/**/b", "/x/a/y/b", True),
        ("/**/a/**/b", "/x/a/b", False),
        ("/**/a/**/b", "/a/a/a/b/b", True),
        ("/**/*", "/a", False),
        ("/**/*", "/a/b", True),
        ("/**/**", "/a", False),
        ("/**/**", "/a/b", True),
        ("/a", "/a b", False),
        ("/100%", "/100%", True),
        ("/p/a%2Fb", "/p/a%2Fb", True),
    ],
)  # fmt: skip
def test_patterns(pattern: str, path: str, *, matches: bool) -> None:
    assert parse_pattern(pattern).matches(segments_of(path)) is matches


@pytest.mark.parametrize(
    "text",
    [
        "", "v1/customers", "/v1/", "//", "/v1//a", "/v1/./a", "/v1/../a", "/team-*", "/v1/***", "/v1/a**", "/v1/a%20b",
        "/v1/%2f", "/v1?x=1", "/a\\b", "/a\nb", "/a\u202eb", "/a" * 65, "https://host/v1",
    ],
    ids=lambda text: ascii(text)[:20],
)  # fmt: skip
def test_patterns_that_could_never_match(text: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        parse_pattern(text)
    assert caught.value.cause == "bad-pattern"
    assert caught.value.hint


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("/", "/", True),
        ("/", "/**", False),
        ("/a/b", "/a/b", True),
        ("/a/b", "/a/c", False),
        ("/a/*", "/*/b", True),
        ("/a/*", "/a", False),
        ("/a/**", "/a/*/c", True),
        ("/a/**", "/b/**", False),
        ("/a/**/z", "/a/*", False),
        ("/a/**/z", "/a/*/*", True),
        ("/**/z", "/a/**", True),
        ("/**/y", "/**/z", False),
        ("/**", "/a/b/c/d", True),
    ],
)
def test_whether_two_patterns_meet(one: str, other: str, *, meet: bool) -> None:
    assert parse_pattern(one).meets(parse_pattern(other)) is meet
    assert parse_pattern(other).meets(parse_pattern(one)) is meet


_SEGMENTS = st.lists(st.sampled_from(["a", "b", "*", "**"]), min_size=1, max_size=5)
_PATHS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=7)


def naive(pattern: list[str], path: list[str]) -> bool:
    if not pattern or not path:
        return not pattern and not path
    head, *rest = pattern
    if head == "**":
        return any(naive(rest, path[taken:]) for taken in range(1, len(path) + 1))
    return head in {"*", path[0]} and naive(rest, path[1:])


@given(_SEGMENTS, _PATHS)
def test_matching_agrees_with_its_definition(pattern: list[str], path: list[str]) -> None:
    assert parse_pattern("/" + "/".join(pattern)).matches(tuple(path)) is naive(pattern, path)


@given(_SEGMENTS, _SEGMENTS, _PATHS)
def test_patterns_that_both_match_a_path_meet(one: list[str], other: list[str], path: list[str]) -> None:
    first, second = parse_pattern("/" + "/".join(one)), parse_pattern("/" + "/".join(other))
    if first.matches(tuple(path)) and second.matches(tuple(path)):
        assert first.meets(second)


def test_an_encoded_slash_has_two_readings() -> None:
    assert readings_of("/p/a%2Fb%5Cc") == (("p", "a%2Fb%5Cc"), ("p", "a", "b", "c"))
    assert readings_of("/p/a%5Cb") == (("p", "a%5Cb"), ("p", "a", "b"))
    assert readings_of("/p/a") == (("p", "a"),)


def test_head_is_get_and_nothing_else_changes() -> None:
    assert method_for_rules("HEAD") == "GET"
    assert {method_for_rules(method) for method in METHODS} == METHODS


@pytest.mark.parametrize("key", ["force", "Force", "force[]", "FORCE[0]", "force[a][b]"])
def test_spellings_of_a_query_key(key: str) -> None:
    assert loose_key(key) == "force"


def test_another_query_key() -> None:
    assert loose_key("forced") != "force"
