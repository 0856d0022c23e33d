import re

import pytest

from doorward.core.redaction.paths import parse_path
from doorward.core.redaction.scan import Scan, best_proof, escapes_of, matches_in_steps, needle, proofs, stands_in
from doorward.core.redaction.steps import finish

WINDOW = 256 << 10


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$..password", [("password",)]),
        ("$.a[*].bb", [("a",), ("bb",)]),
        ("$['a','bb']", [("a", "bb")]),
        ("$..['']", [("",)]),
        ("$..['😀']", [("😀",)]),
        ("$..['a/b']", []),
        ("$['x','a\"b'].c", [("c",)]),
        ("$[0].*[1:]", []),
        ("$[?(@.vip == true && @.x != 1)].*", [("vip",)]),
    ],
)
def test_what_must_be_there(path: str, expected: list[tuple[str, ...]]) -> None:
    assert proofs(parse_path(path)) == expected


def test_the_longest_name_proves_best() -> None:
    assert best_proof(parse_path("$.a.password.bb")) == ("password",)
    assert best_proof(parse_path("$[*]")) == ()


@pytest.mark.parametrize("names", [["a"], ["a", "b", "c", "d", "e"]], ids=["few", "many"])
def test_the_scan_finds_keys(names: list[str]) -> None:
    scan = Scan(map(needle, names))
    assert finish(scan.present_in_steps(b'{"aa":1, "x":"a b"}')) == set()
    assert finish(scan.present_in_steps(b'{"a":1}')) == {b'"a"'}
    assert finish(scan.present_in_steps(b"")) == set()


@pytest.mark.parametrize("count", [2, 6], ids=["few", "many"])
def test_it_says_what_is_present_wherever_steps_begin(count: int) -> None:
    needles = [b'"%d"' % n for n in range(count)]
    scan = Scan(needles)
    for at in range(WINDOW - 4, WINDOW + 2):
        assert finish(scan.present_in_steps(b" " * at + b'"1"' + b" " * WINDOW)) == {b'"1"'}
    steps = list(scan.present_in_steps(b"".join(needles) + b" " * 9 * WINDOW))
    assert len(steps) == 0  # all of them are seen in the first
    assert len(list(scan.present_in_steps(b" " * 4 * WINDOW))) >= 3


def test_a_text_or_a_pattern_across_the_border_of_two_steps() -> None:
    pattern = re.compile(rb"a[0-9]b")
    for at in range(WINDOW - 4, WINDOW + 2):
        body = b" " * at + b"a1b" + b" " * WINDOW
        assert finish(stands_in(body, b"a1b", 0, len(body)))
        assert not finish(stands_in(body, b"a1b", 0, at + 2))
        assert not finish(stands_in(body, b"a1b", at + 1, len(body)))
        assert finish(matches_in_steps(pattern, 3, body))
    assert not finish(matches_in_steps(pattern, 3, b" " * 2 * WINDOW))


def test_escapes_of_the_names_own_characters() -> None:
    found = escapes_of(["é", "😀", "a"])
    assert all(found.search(text) for text in (b"\\u00E9", b"\\ud83d", b"\\uDE00", b"x\\u0061"))
    assert not found.search(b"\\u0062 \\u00e8 u0061")
    assert not escapes_of([]).search(b"\\u0000")
