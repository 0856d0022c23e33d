import re
from dataclasses import replace
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core import paths
from doorward.core.paths import parse_target
from doorward.errors import Unclear
from doorward.model import Target

STRICT = Target(name="crm", scheme="https", host="crm.internal", port=443, hosts=(("crm.internal", 443),))
SLASHES = replace(STRICT, encoded_slash=True)
REPEATED = replace(STRICT, repeated_query=True)


@pytest.mark.parametrize(
    ("raw", "path", "query"),
    [
        ("/", "/", ()),
        ("/?", "/", ()),
        ("/v1/customers", "/v1/customers", ()),
        ("/v1/%63ustomers", "/v1/customers", ()),
        ("/v1/M%C3%BCller", "/v1/Müller", ()),
        ("/a%20b", "/a b", ()),
        ("/100%25", "/100%", ()),
        ("/~a-b_c.d!$&'()*+,=:@", "/~a-b_c.d!$&'()*+,=:@", ()),
        ("/...", "/...", ()),
        ("/.well-known/x", "/.well-known/x", ()),
        ("/a%3Bb", "/a;b", ()),
        ("/a%23b%3F", "/a#b?", ()),
        ("/a?page=1&limit=2", "/a", (("page", "1"), ("limit", "2"))),
        ("/a?watch", "/a", (("watch", ""),)),
        ("/a?watch=&b", "/a", (("watch", ""), ("b", ""))),
        ("/a?q=a=b", "/a", (("q", "a=b"),)),
        ("/a?q=a+b%2B", "/a", (("q", "a b+"),)),
        ("/a?q=%253D", "/a", (("q", "%3D"),)),
        ("/a?next=/x/../y?z", "/a", (("next", "/x/../y?z"),)),
        ("/a?filter[name]=x", "/a", (("filter[name]", "x"),)),
        ("/a?m=one%0Atwo", "/a", (("m", "one\ntwo"),)),
        ("/a?page=1&", "/a", (("page", "1"), ("", ""))),
        ("/a?q=%3B", "/a", (("q", ";"),)),
    ],
)
def test_one_reading(raw: str, path: str, query: tuple[tuple[str, str], ...]) -> None:
    parsed = parse_target(raw, STRICT)
    assert (parsed.path, parsed.query) == (path, query)
    assert (parsed.raw_path, parsed.raw_query) == tuple(raw.split("?", 1) if "?" in raw else (raw, ""))


@pytest.mark.parametrize(
    ("raw", "cause"),
    [
        ("*", "not-a-path"),
        ("", "not-a-path"),
        ("http://other.host/x", "not-a-path"),
        ("crm.internal:443", "not-a-path"),
        ("/é", "url-non-ascii"),
        ("/a?q=é", "url-non-ascii"),
        ("/a#b", "url-fragment"),
        ("/a?b#c", "url-fragment"),
        ("//other.host/x", "empty-segment"),
        ("/a//b", "empty-segment"),
        ("/a/", "empty-segment"),
        ("/a/?q=1", "empty-segment"),
        ("/./a", "dot-segment"),
        ("/a/..", "dot-segment"),
        ("/a/../b", "dot-segment"),
        ("/a/%2e%2E/b", "dot-segment"),
        ("/a/.%2e", "dot-segment"),
        ("/a/%2e", "dot-segment"),
        ("/a/%E2%80%A5/b", "dot-segment"),
        ("/a/%EF%BC%8E%EF%BC%8E/b", "dot-segment"),
        ("/a%EF%BC%8Fb", "lookalike"),
        ("/a%EF%BC%BCb", "lookalike"),
        ("/a%2Fb", "encoded-slash"),
        ("/a%2fb", "encoded-slash"),
        ("/a%5Cb", "encoded-slash"),
        ("/a\\b", "path-backslash"),
        ("/a%252Fb", "double-encoding"),
        ("/a%2525", "double-encoding"),
        ("/%25u002e", "double-encoding"),
        ("/a;b=c", "path-parameter"),
        ("/a/..;/b", "path-parameter"),
        ("/a%00", "control-character"),
        ("/a%0d%0ab", "control-character"),
        ("/a%7F", "control-character"),
        ("/a%C2%85", "control-character"),
        ("/a%E2%80%AEb", "control-character"),
        ("/a\x00", "control-character"),
        ("/a\r\nb", "control-character"),
        ("/a\x7f", "control-character"),
        ("/a\tb", "control-character"),
        ("/%C0%AE%C0%AE/b", "not-utf-8"),
        ("/%C0%AF", "not-utf-8"),
        ("/%FF", "not-utf-8"),
        ("/%ED%A0%80", "not-utf-8"),
        ("/a%", "malformed-percent"),
        ("/a%2", "malformed-percent"),
        ("/a%zz", "malformed-percent"),
        ("/a%u002e", "malformed-percent"),
        ("/a b", "path-character"),
        ('/a"b', "path-character"),
        ("/a<b", "path-character"),
        ("/a[b]", "path-character"),
        ("/a|b", "path-character"),
        ("/a^b", "path-character"),
        ("/a?b;c", "query-semicolon"),
        ("/a?b=1;c=2", "query-semicolon"),
        ("/a?b c", "query-character"),
        ("/a?b=\\", "query-character"),
        ("/a?b={}", "query-character"),
        ("/a?b=%", "malformed-percent"),
        ("/a?b=%FF", "not-utf-8"),
        ("/a?b\x01", "control-character"),
        ("/a?b=%00", "control-character"),
        ("/a?b=%1B", "control-character"),
        ("/a?b%0A=1", "control-character"),
        ("/a?b=1&b=2", "repeated-query-key"),
        ("/a?b=1&%62=2", "repeated-query-key"),
        ("/a?b&b", "repeated-query-key"),
        ("/a?x=1&&", "repeated-query-key"),
        ("/a?a+b=1", "query-key-plus"),
        ("/a?%2562=1", "double-encoding"),
    ],
    ids=ascii,
)
def test_open_to_two_readings(raw: str, cause: str) -> None:
    with pytest.raises(Unclear) as caught:
        parse_target(raw, STRICT)
    assert caught.value.cause == cause
    assert caught.value.hint


def test_encoded_slash_where_the_target_allows_it() -> None:
    assert parse_target("/p/group%2fname/x", SLASHES).path == "/p/group%2Fname/x"
    assert parse_target("/p/a%5cb", SLASHES).path == "/p/a%5Cb"


@pytest.mark.parametrize(
    ("raw", "cause"),
    [
        ("/p/a%2F..%2Fb", "dot-segment"),
        ("/p/..%2F", "dot-segment"),
        ("/p/a%2F%2Fb", "empty-segment"),
        ("/p/%2Fa", "empty-segment"),
        ("/p/a%5C", "empty-segment"),
        ("/p/a%5C..", "dot-segment"),
        ("/p/a%252Fb", "double-encoding"),
        ("/p/a\\b", "path-backslash"),
    ],
)
def test_encoded_slash_walks_nowhere(raw: str, cause: str) -> None:
    with pytest.raises(Unclear) as caught:
        parse_target(raw, SLASHES)
    assert caught.value.cause == cause


def test_repeated_query_where_the_target_allows_it() -> None:
    assert parse_target("/a?b=1&%62=2", REPEATED).query == (("b", "1"), ("b", "2"))


@given(st.text(max_size=40))
def test_no_text_raises_anything_else(raw: str) -> None:
    for target in (STRICT, SLASHES, REPEATED):
        try:
            parsed = parse_target("/" + raw, target)
        except Unclear:
            continue
        assert parsed.path.startswith("/")


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=4))
def test_what_is_read_is_what_was_encoded(segments: list[str]) -> None:
    try:
        raw = "".join("/" + quote(segment, safe="") for segment in segments)
        parsed = parse_target(raw, STRICT)
    except (Unclear, UnicodeEncodeError):
        return
    assert parsed.path == "/" + "/".join(segments)
    assert parsed.raw_path == raw


@given(st.text("aZ0-._~!$&'()*+,=:@/%2F;\\?[]# é\x00", max_size=30))
def test_plain_targets_are_read_as_by_the_long_way(rest: str) -> None:
    def read() -> object:
        try:
            return parse_target("/" + rest, STRICT)
        except Unclear as error:
            return error.cause

    short = read()
    with pytest.MonkeyPatch.context() as patch:
        never = re.compile("(?!)")
        patch.setattr(paths, "_PLAIN_PATH", never)
        patch.setattr(paths, "_PLAIN_QUERY", never)
        assert read() == short
