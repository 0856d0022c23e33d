"""The shorter ways lead to the same end as upstream's, and upstream's are those that were read."""

import hashlib
import inspect
import uuid
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import connection
from mitmproxy.coretypes.multidict import _MultiDict
from mitmproxy.http import Headers, MessageData, Request, Response

from doorward.gateway.mitm import quick

READ = {
    quick._stock_init: {"4d53696a5f9f6670"},
    quick._stock_post_init: {"f65088e210cd9cc1"},
    quick._stock_expected_size: {"bf258f07286cf770"},
    quick._stock_get_all: {"367b3317bc2ba45c"},
    Headers._reduce_values: {"d808a4075a1f266d"},
    _MultiDict.__getitem__: {"482e7414c932e3e8"},
}
NAMES = st.sampled_from([b"Accept", b"accept", b"ACCEPT", b"X-Ae", b"x-\xc3\xa4", b"x-\xff", b""])
FIELDS = st.lists(st.tuples(NAMES, st.sampled_from([b"", b"a", b"b, c", b"\xc3\xa4", b"\xff\xfe"])), max_size=6)
ASKED = st.sampled_from(["accept", "Accept", b"accept", "x-ä", b"x-\xff", "x-\udcff", "none", ""])


@pytest.mark.parametrize("upstream", READ, ids=lambda each: each.__qualname__)
def test_what_is_done_in_upstreams_place_is_what_was_read(upstream: Callable[..., object]) -> None:
    assert hashlib.sha256(inspect.getsource(upstream).encode()).hexdigest()[:16] in READ[upstream]


@given(FIELDS, ASKED)
def test_headers_are_found_as_upstream_finds_them(fields: Sequence[tuple[bytes, bytes]], asked: str | bytes) -> None:
    theirs = Headers.__new__(Headers)
    quick._stock_init(theirs, fields)
    ours = Headers.__new__(Headers)
    quick._init(ours, fields)
    assert ours.fields == theirs.fields
    try:
        wanted = _MultiDict.__getitem__(theirs, asked)
    except KeyError:
        wanted = None
    assert quick._get(ours, asked) == wanted
    assert quick._get(ours, asked, "default") == ("default" if wanted is None else wanted)
    assert quick._contains(ours, asked) is (wanted is not None)
    assert quick._get_all(ours, asked) == quick._stock_get_all(theirs, asked)


def test_fields_that_change_are_looked_at_anew() -> None:
    made = Headers([(b"A", b"1")])
    assert quick._get(made, "a") == "1"
    made["a"] = "2"
    made.add("b", "3")
    assert [quick._get(made, name) for name in ("a", "b", "c")] == ["2", "3", None]
    del made["a"]
    assert not quick._contains(made, "A")
    copied = made.copy()
    copied["b"] = "4"
    assert [quick._get(each, "b") for each in (made, copied)] == ["3", "4"]
    made.set_state(((b"C", b"5"),))
    assert quick._get(made, "c") == "5"


HEADS = st.lists(
    st.sampled_from([
        (b"Content-Length", b"5"), (b"Content-Length", b"x"), (b"Transfer-Encoding", b"chunked"),
        (b"transfer-encoding", b"gzip"), (b"A", b"b"),
    ]),
    max_size=3,
)  # fmt: skip


def size(work: Callable[..., int | None], *messages: object) -> object:
    try:
        return work(*messages)
    except ValueError:
        return "malformed"


@given(HEADS, HEADS, st.sampled_from(["GET", "HEAD", "POST"]), st.sampled_from([200, 204, 304, 103]))
def test_the_length_of_a_body_is_what_upstream_says(
    asked: list[tuple[bytes, bytes]], said: list[tuple[bytes, bytes]], method: str, status: int
) -> None:
    request, response = Request.make(method, "http://a/"), Response.make(status)
    request.headers, response.headers = Headers(asked), Headers(said)
    for messages in ((request,), (request, response), (request, response)):
        assert size(quick._expected_size, *messages) == size(quick._stock_expected_size, *messages)
    response.headers["content-length"] = "7"
    response.status_code = 200
    request.method = "GET"
    for messages in ((request, response), (request,)):
        assert size(quick._expected_size, *messages) == size(quick._stock_expected_size, *messages)


def test_names_of_flows_differ() -> None:
    quick.quicken()
    made = {connection.Server(address=None).id for _ in range(1000)}
    assert len(made) == 1000
    assert all(uuid.UUID(each) for each in made)


def test_a_field_that_is_not_bytes_is_refused_as_upstream_does() -> None:
    for init in (quick._init, quick._stock_init):
        with pytest.raises(TypeError):
            init(Headers.__new__(Headers), [("a", "b")])  # type: ignore[list-item]


def test_names_may_be_given_as_arguments_still() -> None:
    made = Headers.__new__(Headers)
    quick._init(made, [(b"A", b"1")], content_type="text/plain")
    assert made.fields == ((b"A", b"1"), (b"content-type", b"text/plain"))


def test_messages_are_what_they_were() -> None:
    quick.quicken()
    assert MessageData.__post_init__ is quick._take_as_typed
    assert Headers([(b"a", b"1")]).get("A") == "1"
    assert "a" in Headers([(b"A", b"1")])
