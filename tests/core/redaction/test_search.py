from doorward.core.redaction.search import Search

WINDOW = 256 << 10


def test_all_matches_of_a_short_text() -> None:
    search = Search([b"ab", b"bc"])
    assert list(search.matches(b"abc")) == [[(0, 0, 2), (1, 1, 3)]]
    assert search.longest == 2


def test_matches_at_and_across_the_windows_border() -> None:
    search = Search([b"needle", b"x"])
    for at in range(WINDOW - 7, WINDOW + 2):
        data = bytes(at) + b"needle" + bytes(WINDOW)
        found = {match for matches in search.matches(data) for match in matches}
        assert found == {(0, at, at + 6)}


def test_what_is_present() -> None:
    assert Search([b"a", b"b", b"c"]).present(b"a" + bytes(WINDOW) + b"ba") == {b"a", b"b"}
