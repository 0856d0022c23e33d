import pytest

from doorward.core.redaction.paths import parse_path
from doorward.core.redaction.scan import Scan, best_proof, escapes_of, needle, proofs


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
    assert scan.hits(b'{"a":1}')
    assert not scan.hits(b'{"aa":1, "x":"a b"}')
    assert scan.present(b'{"a":1}') == {b'"a"'}
    assert scan.present(b"") == set()


def test_escapes_of_the_names_own_characters() -> None:
    found = escapes_of(["é", "😀", "a"])
    assert all(found.search(text) for text in (b"\\u00E9", b"\\ud83d", b"\\uDE00", b"x\\u0061"))
    assert not found.search(b"\\u0062 \\u00e8 u0061")
    assert not escapes_of([]).search(b"\\u0000")
