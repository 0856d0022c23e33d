import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.gateway.mitm.heads import bad_request_head, empty_lines, is_bad_answer_head, is_complete, status_of

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nX: a\tb\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nX: a\r\n\r\n"


@pytest.mark.parametrize(
    ("raw", "cause"),
    [
        (b"GET / HTTP/1.1\r\nX: a\0\r\n\r\n", "control-bytes"),
        (b"GET / HTTP/1.1\r\nX: a\rb\r\n\r\n", "control-bytes"),
        (b"GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n", "control-bytes"),
        (b"GET / HTTP/1.1\r\nX: a\n\tb\r\n\r\n", "control-bytes"),
        (b"GET / HTTP/1.1\r\nX: \x7f\r\n\r\n", "control-bytes"),
        (b"GET / HTTP/2.0\r\n\r\n", "not-http"),
        (b"GET / HTTP/1.10\r\n\r\n", "not-http"),
        (b"GET / http/1.1\r\n\r\n", "not-http"),
        (b"GET  / HTTP/1.1\r\n\r\n", "not-http"),
        (b"GET\t/ HTTP/1.1\r\n\r\n", "not-http"),
        (b"GET / x HTTP/1.1\r\n\r\n", "not-http"),
        (b"GET / HTTP/1.1 \r\n\r\n", "not-http"),
        (b" GET / HTTP/1.1\r\n\r\n", "not-http"),
        (b"GET /\r\n\r\n", "not-http"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 200, "head-too-large"),
    ],
)
def test_heads_of_requests_that_are_refused(raw: bytes, cause: str) -> None:
    error = bad_request_head(raw, 100)
    assert error is not None
    assert error.cause == cause


@pytest.mark.parametrize("raw", [REQUEST, REQUEST.replace(b"\r\n", b"\n"), REQUEST + bytes(500)])
def test_a_good_head_is_good_at_each_moment_of_its_arrival(raw: bytes) -> None:
    for size in range(len(raw) + 1):
        assert bad_request_head(raw[:size], 100) is None


def test_a_good_answer_is_good_at_each_moment_of_its_arrival() -> None:
    for size in range(len(ANSWER) + 1):
        assert not is_bad_answer_head(ANSWER[:size], 100)
    assert is_complete(ANSWER)
    assert not is_complete(ANSWER[:-1])


@pytest.mark.parametrize("line", [b"HTTP/1.1 200", b"HTTP/1.0 404 Not Found", b"HTTP/1.1 200 "])
def test_a_reason_may_be_missing(line: bytes) -> None:
    assert not is_bad_answer_head(line + b"\r\n\r\n", 100)
    assert status_of(line + b"\r\n\r\n") == int(line[9:12])


@pytest.mark.parametrize(
    "line",
    [b"HTTP/1.1 +103", b"HTTP/1.1 1_0", b"HTTP/1.1  200", b"HTTP/1.1\t200", b"HTTP/1.1 2000", b"HTTP/2 200", b"x"],
)
def test_a_status_that_could_be_read_otherwise(line: bytes) -> None:
    assert is_bad_answer_head(line + b"\r\n\r\n", 100)
    assert status_of(line + b"\r\n\r\n") is None


def test_empty_lines() -> None:
    assert empty_lines(b"\r\n\n\r\nGET") == 5
    assert empty_lines(b"\r") == 0
    assert empty_lines(b"GET\r\n") == 0


@given(st.binary(max_size=200))
def test_no_bytes_raise(raw: bytes) -> None:
    bad_request_head(raw, 100)
    is_bad_answer_head(raw, 100)
    status_of(raw)
    assert empty_lines(raw) <= len(raw)
