from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core.headers import answer_headers, forwarded_headers, without_conditions
from doorward.errors import Refused, Unclear, Withheld
from doorward.model import Target

TARGET = Target(name="crm", scheme="https", host="crm.internal", port=443, hosts=(("crm.internal", 443),))
COOKIES = replace(TARGET, cookies=True)


def forwarded(*headers: tuple[str, str], target: Target = TARGET, body_mask: bool = False) -> dict[str, str]:
    return dict(forwarded_headers(headers, target, credential_header="X-Api-Key", body_mask=body_mask))


def test_ordinary_headers_pass_in_order_and_lower_case() -> None:
    headers = (("Host", "crm.internal"), ("User-Agent", "curl"), ("Accept", "*/*"), ("X-B", "1"), ("X-A", ""))
    assert forwarded_headers(headers, TARGET, credential_header=None, body_mask=False) == (
        ("user-agent", "curl"),
        ("accept", "*/*"),
        ("x-b", "1"),
        ("x-a", ""),
    )


@pytest.mark.parametrize(
    "name",
    [
        "Authorization", "Cookie", "X-Api-Key", "x-api-key", "Host", "Proxy-Authorization", "Proxy-Connection",
        "Proxy-Anything", "Forwarded", "X-Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-User",
        "X-Original-URL", "X-Original-Uri", "X-Rewrite-URL", "X-HTTP-Method-Override", "X-HTTP-Method",
        "X-Method-Override", "X-Real-IP", "X-Host", "X-Original-Host", "X-HTTP-Host-Override", "Doorward-Request",
        "Doorward-Anything", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Expect", "Impersonate-User",
        "X-Remote-Group", "Remote-User", "True-Client-IP", "X-Client-IP", "Client-IP", "X-Cluster-Client-IP",
        "CF-Connecting-IP", "Fastly-Client-IP", "X-Original-Forwarded-For", "X-Envoy-External-Address",
    ],
)  # fmt: skip
def test_what_the_gateway_controls_is_dropped(name: str) -> None:
    assert forwarded((name, "x"), ("Accept", "y")) == {"accept": "y"}


def test_connection_and_what_it_lists_is_dropped() -> None:
    assert forwarded(("Connection", "close, X-Hop,"), ("X-Hop", "1"), ("X-End", "2")) == {"x-end": "2"}


@pytest.mark.parametrize("name", ["Range", "If-Range"])
def test_partial_answers_are_not_asked_for_where_a_mask_may_apply(name: str) -> None:
    assert forwarded((name, "x")) == {name.lower(): "x"}
    assert forwarded((name, "x"), body_mask=True) == {}


@pytest.mark.parametrize("name", ["if", "if-match", "if-none-match"])
def test_a_condition_on_a_tag_tells_nothing_of_what_is_masked(name: str) -> None:
    others = (("accept", "a"), ("if-modified-since", "b"), ("if-unmodified-since", "c"))
    for method in ("GET", "HEAD"):
        assert without_conditions(((name, '"guess"'), *others), method) == others
    assert without_conditions(((name, " *"), *others), "PUT") == ((name, " *"), *others)
    for value in ('"guess"', 'W/"guess"', '*, "guess"', ""):
        with pytest.raises(Refused) as caught:
            without_conditions(((name, value), *others), "PUT")
        assert caught.value.cause == "condition"


def test_cookies_pass_where_the_target_says_so() -> None:
    assert forwarded(("Cookie", "a=b"), target=COOKIES) == {"cookie": "a=b"}


def test_without_a_credential_its_header_is_an_ordinary_one() -> None:
    headers = (("X-Api-Key", "mine"),)
    assert forwarded_headers(headers, TARGET, credential_header=None, body_mask=False) == (("x-api-key", "mine"),)


def test_repeated_ordinary_headers_stay_repeated() -> None:
    headers = (("Accept", "a"), ("accept", "b"))
    assert forwarded_headers(headers, TARGET, credential_header=None, body_mask=False) == (
        ("accept", "a"),
        ("accept", "b"),
    )


@pytest.mark.parametrize(
    ("headers", "cause"),
    [
        ([("", "x")], "header-name"),
        ([("X A", "x")], "header-name"),
        ([("X-A:", "x")], "header-name"),
        ([(":authority", "x")], "header-name"),
        ([("X-Ä", "x")], "header-name"),
        ([("X-A\r\nB", "x")], "header-name"),
        ([("X-A\n", "x")], "header-name"),
        ([("X-A", "a\r\n b")], "header-value"),
        ([("X-A", "a\n\tb")], "header-value"),
        ([("X-A", "a\rb")], "header-value"),
        ([("X-A", "a\n")], "header-value"),
        ([("X-A", "a\x00")], "header-value"),
        ([("X-A", "\x1b")], "header-value"),
        ([("X-A", "\x7f")], "header-value"),
        ([("X-A", "é")], "header-value"),
        ([("X-A", "\udce9")], "header-value"),
        ([("Host", "a"), ("host", "a")], "repeated-header"),
        ([("Content-Length", "1"), ("content-length", "1")], "repeated-header"),
        ([("Content-Type", "a/b"), ("CONTENT-TYPE", "a/b")], "repeated-header"),
        ([("Content-Encoding", "gzip"), ("Content-Encoding", "br")], "repeated-header"),
        ([("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "x")], "repeated-header"),
        ([("Content-Length", "1"), ("Transfer-Encoding", "chunked")], "body-length"),
        ([("Content-Length", "+1")], "body-length"),
        ([("Content-Length", "1, 1")], "body-length"),
        ([("Content-Length", "")], "body-length"),
        ([("Content_Length", "1")], "underscore-twin"),
        ([("Transfer_Encoding", "chunked")], "underscore-twin"),
        ([("X_Forwarded_For", "1")], "underscore-twin"),
        ([("Proxy_Authorization", "1")], "underscore-twin"),
        ([("Doorward_Request", "1")], "underscore-twin"),
        ([("X_Api_Key", "1")], "underscore-twin"),
        ([("X_Api-Key", "1")], "underscore-twin"),
        ([("If_None_Match", "1")], "underscore-twin"),
        ([("X_A", "1"), ("X-A", "2")], "underscore-twin"),
        ([("X_A-B", "1"), ("X-A_B", "2")], "underscore-twin"),
        ([("Connection", "host")], "connection-header"),
        ([("Connection", "Content-Type")], "connection-header"),
        ([("Connection", "close, content-anything")], "connection-header"),
        ([("Connection", "a b")], "connection-header"),
    ],
    ids=ascii,
)
def test_open_to_two_readings(headers: list[tuple[str, str]], cause: str) -> None:
    with pytest.raises(Unclear) as caught:
        forwarded(*headers)
    assert caught.value.cause == cause
    assert caught.value.hint


def test_a_lone_underscore_is_an_ordinary_name() -> None:
    assert forwarded(("X_Own", "1")) == {"x_own": "1"}


@pytest.mark.parametrize(
    "headers",
    [
        [("Upgrade", "websocket"), ("Connection", "Upgrade")],
        [("Upgrade", "h2c")],
        [("Connection", "upgrade")],
        [("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")],
    ],
    ids=repr,
)
def test_an_upgrade_is_refused(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(Refused) as caught:
        forwarded(*headers)
    assert (caught.value.cause, caught.value.status) == ("upgrade", 403)


@given(st.lists(st.tuples(st.text(max_size=12), st.text(max_size=12)), max_size=4), st.booleans())
def test_no_headers_raise_anything_else(headers: list[tuple[str, str]], masked: bool) -> None:
    for read in (
        lambda: forwarded(*headers, body_mask=masked),
        lambda: answer_headers(headers, TARGET, masked=masked),
    ):
        try:
            read()
        except (Refused, Withheld):
            continue


def answered(*headers: tuple[str, str], target: Target = TARGET, masked: bool = False) -> list[str]:
    return [name for name, _ in answer_headers(headers, target, masked=masked)]


def test_an_answer_keeps_names_values_and_order() -> None:
    headers = (("Content-Type", "text/plain"), ("X-Name", "Müller"), ("x-a", "1"))
    assert answer_headers(headers, TARGET, masked=True) == headers


@pytest.mark.parametrize(
    "name",
    [
        "Set-Cookie", "Set-Cookie2", "Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade", "Trailer",
        "Proxy-Authenticate", "Proxy-Status", "Doorward-Request", "Alt-Svc",
    ],
)  # fmt: skip
def test_dropped_from_every_answer(name: str) -> None:
    assert answered((name, "x"), ("Accept", "y")) == ["Accept"]


def test_connection_of_the_answer_cannot_drop_the_type_of_its_body() -> None:
    assert answered(("Connection", "X-Hop, Content-Type"), ("X-Hop", "1"), ("Content-Type", "a/b")) == ["Content-Type"]


@pytest.mark.parametrize(
    "name",
    [
        "ETag", "Content-Digest", "Repr-Digest", "Digest", "Content-MD5", "x-amz-checksum-sha256", "X-Goog-Hash",
        "x-ms-checksum", "X-Body-Hash-256",
    ],
)  # fmt: skip
def test_dropped_from_a_masked_answer(name: str) -> None:
    assert answered((name, "x")) == [name]
    assert answered((name, "x"), masked=True) == []


def test_cookies_come_back_where_the_target_says_so() -> None:
    assert answered(("Set-Cookie", "a"), target=COOKIES) == ["Set-Cookie"]


@pytest.mark.parametrize(
    ("headers", "masked"),
    [
        ([("X A", "1")], False),
        ([("X-A", "a\r\nb")], False),
        ([("X-A", "a\x00")], False),
        ([("Content-Length", "1"), ("content-length", "2")], False),
        ([("Content-Type", "a/b"), ("Content-Type", "c/d")], True),
        ([("Content-Encoding", "gzip"), ("content-encoding", "br")], True),
    ],
    ids=repr,
)
def test_an_answer_open_to_two_readings_is_withheld(headers: list[tuple[str, str]], masked: bool) -> None:
    with pytest.raises(Withheld) as caught:
        answered(*headers, masked=masked)
    assert caught.value.cause == "answer-headers"


def test_two_types_pass_where_nothing_is_masked() -> None:
    assert answered(("Content-Type", "a/b"), ("Content-Type", "a/b")) == ["Content-Type", "Content-Type"]
