import base64
import json
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.test import taddons, tflow

from doorward.core.replaying import Tape
from doorward.playback.addons import Admission, Playback, Undialled
from doorward.playback.flows import mitmproxy_flow
from tests.core.test_replaying import keys, named

LOGIN = "Basic " + base64.b64encode(b"replay:secret").decode()


def flow(url: str = "https://billing.internal/v1/a", *headers: tuple[str, str], method: str = "POST") -> http.HTTPFlow:
    made = tflow.tflow(req=http.Request.make(method, url))
    made.request.headers = http.Headers([(name.encode(), value.encode()) for name, value in headers])
    return made


def problem(of: http.HTTPFlow) -> Any:
    assert of.response is not None
    return json.loads(of.response.content or b"")


def playback(*requests: str, request_bytes: int = 1000) -> Playback:
    of, tape = keys(), Tape[http.HTTPFlow]()
    for request in requests:
        tape.add(named(request), of.recorded(named(request)), mitmproxy_flow)
    return Playback(tape, of, request_bytes=request_bytes)


def test_answers_in_order_as_copies() -> None:
    addon = playback("a", "b")
    with taddons.context(addon):
        first, second, third = flow(), flow(), flow()
        for each in (first, second, third):
            addon.request(each)
        assert [each.is_replay for each in (first, second, third)] == ["response"] * 3
        assert second.response is not None
        assert second.response is not third.response
        assert second.response.content == third.response.content  # type: ignore[union-attr]  # answered


@pytest.mark.parametrize(
    ("asked", "cause"),
    [
        (flow("https://billing.internal/v1/b"), "not-recorded"),
        (flow("https://elsewhere.example/v1/a"), "not-recorded"),
        (flow("https://billing.internal/v1/a/../b"), "dot-segment"),
    ],
    ids=["path", "host", "unclear"],
)
@pytest.mark.parametrize("requests", [(), ("a",)], ids=["empty", "one"])
def test_a_flow_never_leaves_without_an_answer(asked: http.HTTPFlow, cause: str, requests: tuple[str, ...]) -> None:
    addon = playback(*requests)
    with taddons.context(addon):
        asked = asked.copy()
        addon.request(asked)
        assert (problem(asked)["cause"], problem(asked)["executed"]) == (cause, "no")


def test_a_bug_is_a_refusal_too(monkeypatch: pytest.MonkeyPatch) -> None:
    addon = playback("a")
    with taddons.context(addon):
        asked = flow()
        asked.request.data.path = None  # type: ignore[assignment]  # what no reader expects
        with pytest.raises(AttributeError):
            addon.request(asked)
        assert problem(asked)["cause"] == "gateway-error"


def test_a_coded_body_is_read_and_one_that_grows_too_large_is_refused() -> None:
    addon = playback("a", request_bytes=10)
    with taddons.context(addon):
        asked = flow("https://billing.internal/v1/a", ("content-encoding", "gzip"))
        asked.request.raw_content = http.Request.make(
            "POST", "http://a", b"x" * 99, http.Headers([(b"content-encoding", b"gzip")])
        ).raw_content
        addon.request(asked)
        assert asked.response is not None
        assert asked.response.status_code in (413, 502)


def test_what_was_refused_already_stays_refused() -> None:
    addon = playback("a")
    with taddons.context(addon):
        asked = flow()
        asked.response = http.Response.make(407)
        addon.request(asked)
        assert asked.response.status_code == 407


def test_a_head_gets_no_body() -> None:
    addon = playback("a")
    with taddons.context(addon):
        asked = flow(method="HEAD")
        addon.request(asked)
        assert asked.response is not None
        assert (asked.response.status_code, asked.response.raw_content) == (502, b"")


@pytest.mark.parametrize(
    "sent",
    [
        (),
        (("Proxy-Authorization", "Basic x"),),
        (("Proxy-Authorization", LOGIN),) * 2,
        (("Proxy-Authorization", LOGIN + "x"),),
    ],
    ids=["none", "wrong", "twice", "longer"],
)
def test_nobody_is_let_in_without_the_password(sent: tuple[tuple[str, str], ...]) -> None:
    admission = Admission("secret")
    for hook in (admission.http_connect, admission.requestheaders):
        asked = flow("http://billing.internal/v1/a", *sent)
        hook(asked)
        assert asked.response is not None
        assert asked.response.status_code == 407
        assert "basic" in asked.response.headers["Proxy-Authenticate"].lower()


def test_a_tunnel_is_admitted_once_and_a_plain_request_by_itself() -> None:
    admission = Admission("secret")
    tunnel = flow("https://billing.internal/", ("Proxy-Authorization", LOGIN), method="CONNECT")
    admission.http_connect(tunnel)
    inside = flow()
    inside.client_conn = tunnel.client_conn
    admission.requestheaders(inside)
    assert tunnel.response is None
    assert inside.response is None
    plain = flow("http://billing.internal/v1/a", ("Proxy-Authorization", LOGIN))
    admission.requestheaders(plain)
    assert plain.response is None
    assert "proxy-authorization" not in plain.request.headers


def test_no_connection_is_opened() -> None:
    data = ServerConnectionHookData(tflow.tserver_conn(), tflow.tclient_conn())
    data.server.error = None
    Undialled().server_connect(data)
    assert data.server.error
