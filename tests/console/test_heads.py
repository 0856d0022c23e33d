"""Recorded heads as values; what is no head is empty."""

import pytest

from doorward.console.heads import parse_head


@pytest.mark.parametrize(
    ("body", "url", "headers"),
    [
        (b'{"url": "https://x/", "headers": [["a", "b"]]}', "https://x/", (("a", "b"),)),
        (b'{"headers": {"a": "b"}}', "", (("a", "b"),)),
        (b'{"headers": [["a"], 1, ["a", 2]]}', "", (("a", "2"),)),
        (b"[]", "", ()),
        (b"\xff", "", ()),
        (b'{"url": 1, "headers": 2}', "", ()),
    ],
)
def test_heads_that_are_none_are_empty(body: bytes, url: str, headers: tuple[tuple[str, str], ...]) -> None:
    head = parse_head(body)
    assert (head.url, head.headers) == (url, headers)
