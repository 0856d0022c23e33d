import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.cli.flows.resend import url_for
from doorward.core.paths import parse_target
from doorward.errors import Unclear
from doorward.model import Target
from tests.parts.recorded import Recorded

TARGET = Target("t", "https", "t", 443, (), encoded_slash=True, repeated_query=True)
PATH = "ABCabc019-._~!$&'()*+,=:@%41%2f%C3%A4%7E/"


@given(
    st.lists(st.sampled_from(PATH)).map("".join),
    st.lists(st.sampled_from(PATH + "?[]")).map("".join),
)
def test_what_the_gateway_took_goes_out_byte_for_byte(path: str, query: str) -> None:
    raw = f"/{path}?{query}" if query else f"/{path}"
    try:
        parse_target(raw, TARGET)
    except Unclear:
        return
    assert url_for("billing.internal", 443, raw).raw_path == raw.encode()


def test_every_character_in_one() -> None:
    raw = f"/v1/{PATH}x?a={PATH}?[]"
    assert url_for("billing.internal", 443, raw).raw_path == raw.encode()


@pytest.mark.parametrize(
    ("port", "url"), [(443, "https://b/x"), (8443, "https://b:8443/x"), (80, "http://b/x")], ids=str
)
def test_agents_ask_by_tls_but_at_port_80(port: int, url: str) -> None:
    assert str(url_for("b", port, "/x")) == url


def test_a_request_that_is_not_there(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOORWARD_TOKEN", "t")
    ran = recorded.terminal.run("flows", "resend", "r9", "--why", "x")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "doorward: error: there is no request r9\ndoorward: hint: see `doorward flows list`\n"


def test_without_a_token_nothing_is_read(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOORWARD_TOKEN", raising=False)
    ran = recorded.ask("flows", "resend", "r1", "--why", "x")
    assert (ran.code, ran.out) == (2, "")
    assert "there is no token to send it by" in ran.err
    assert recorded.entries("bodies.read") == []


@pytest.mark.parametrize("request_id", ["r1", "r3"])
def test_what_does_not_give_the_recorded_digest_is_not_sent_and_the_reading_is_recorded(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch, request_id: str
) -> None:
    monkeypatch.setenv("DOORWARD_TOKEN", "t")
    ran = recorded.ask("flows", "resend", request_id, "--why", "ticket 7")
    assert (ran.code, ran.out) == (1, "")
    assert "the record does not hold this request as it went out" in ran.err
    assert [each.fields["why"] for each in recorded.entries("bodies.read")] == ["ticket 7"] * (request_id == "r1")


def test_what_was_refused_never_went_out(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOORWARD_TOKEN", "t")
    ran = recorded.ask("flows", "resend", "r2", "--why", "x")
    assert ran.code == 1
    assert "only a request that went out can be sent again" in ran.err
