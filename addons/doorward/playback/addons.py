"""The addons of a proxy that answers from the record: who may ask, what is answered, and that nobody is dialled.

mitmproxy logs an addon that raises and goes on as if it had said nothing, which would be to dial.
So whatever has no recorded answer is answered here in any case, and `Undialled` ends each attempt to
open a connection, whoever makes it. Put together in `listener`.
"""

import base64
import hmac
import json
from typing import Final
from weakref import WeakSet

from mitmproxy import connection, http
from mitmproxy.addons.serverplayback import ServerPlayback
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from doorward.core.paths import parse_target
from doorward.core.redaction.content import decode_content
from doorward.core.replaying import Keys, ReplayKey, Tape
from doorward.errors import DoorwardError, Refused, TargetFailed, Unauthenticated

USER: Final = "replay"


class Admission:
    """Lets in whoever has the password of this run: recorded answers are not for every user of the machine."""

    def __init__(self, password: str) -> None:
        self._expected = "Basic " + base64.b64encode(f"{USER}:{password}".encode()).decode()
        self._tunnels: WeakSet[connection.Client] = WeakSet()

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """Admit a connection, or refuse its tunnel."""
        if self._is_admitted(flow):
            self._tunnels.add(flow.client_conn)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Admit what came without a tunnel by itself."""
        if flow.client_conn not in self._tunnels:
            self._is_admitted(flow)
        flow.request.headers.pop("proxy-authorization", None)

    def _is_admitted(self, flow: http.HTTPFlow) -> bool:
        sent = flow.request.headers.get_all("proxy-authorization")
        # Each byte has to pass: mitmproxy goes on after a hook that raised.
        shown = [each.encode("utf-8", "surrogateescape") for each in sent]
        if len(shown) == 1 and hmac.compare_digest(shown[0], self._expected.encode()):
            return True
        error = Unauthenticated(
            "this replay is not for everybody", cause="token-missing", hint="use the proxy URL that the command printed"
        )
        flow.response = problem(flow, error)
        flow.response.headers["Proxy-Authenticate"] = 'Basic realm="doorward replay"'
        return False


class Playback(ServerPlayback):
    """mitmproxy's server replay, with our keys and our order."""

    def __init__(self, tape: Tape[http.HTTPFlow], keys: Keys, *, request_bytes: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # of mitmproxy
        self._tape = tape
        self._keys = keys
        self._request_bytes = request_bytes

    def request(self, f: http.HTTPFlow) -> None:
        """Answer from the record, or refuse; a flow leaves this hook with an answer."""
        if f.response is not None:
            return
        refusal: DoorwardError = Refused("the replay failed at this request", cause="gateway-error")
        try:
            key = self._key(f)
            self.flowmap = {key: [f]}  # stock does nothing where it has no flows; which one is asked of `next_flow`
            super().request(f)
            refusal = TargetFailed(
                self._tape.why_not(key),
                cause="not-recorded",
                hint="this is a replay: nothing is sent; widen its filter, or run against the gateway",
            )
        except DoorwardError as error:
            refusal = error
        finally:
            if f.response is None:
                f.response = problem(f, refusal)

    def next_flow(self, flow: http.HTTPFlow) -> http.HTTPFlow | None:
        """Return the recorded flow whose turn it is."""
        return self._tape.next(self._key(flow))

    def _key(self, flow: http.HTTPFlow) -> ReplayKey:
        request = flow.request
        target = self._keys.policy.target_for(request.host, request.port)
        if target is None:
            raise TargetFailed(
                f"no target has the host {request.host[:100]}:{request.port}",
                cause="not-recorded",
                hint="this is a replay: nothing is sent",
            )
        raw = request.data.path.decode("latin-1")
        parse_target(raw, target)  # what the gateway would not have read is in no record
        body = request.raw_content or b""
        coding = request.headers.get("content-encoding")
        body = decode_content(body, coding, self._request_bytes) if body else body
        return self._keys.asked(target, request.method, raw, request.headers.get("content-type"), body)


class Undialled:
    """Ends every attempt to open a connection."""

    def server_connect(self, data: ServerConnectionHookData) -> None:
        """Say why; mitmproxy then opens none."""
        data.server.error = "a replay dials nobody"


def problem(flow: http.HTTPFlow, error: DoorwardError) -> http.Response:
    """The refusal, in the form that the gateway's have."""
    told = {
        "type": f"urn:doorward:refusal:{error.cause}",
        "title": "not in this replay",
        "status": error.status,
        "detail": error.message,
        "cause": error.cause,
        "executed": "no",
        "rules": [],
        "next": error.hint,
    }
    body = b"" if flow.request.method == "HEAD" else json.dumps(told, indent=2).encode() + b"\n"
    headers = {"Content-Type": "application/problem+json", "Cache-Control": "no-store"}
    return http.Response.make(error.status, body, headers)
