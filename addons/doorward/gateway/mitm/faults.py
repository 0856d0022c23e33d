"""What goes wrong below HTTP, in our words: mitmproxy's reasons and our own limits, as errors of doorward.

None of mitmproxy's texts, which may quote what a target sent. Called by `mitm.http` and
`mitm.agent_side`, and by nobody else.
"""

from mitmproxy.proxy.layers.http._events import ErrorCode

from doorward.errors import DoorwardError, TargetFailed, TooLarge, TooMany, TooSlow, Unclear, Withheld


def too_slow(wait_s: float) -> TooSlow:
    """A head that began and did not end."""
    hint = "send each head at once"
    return TooSlow(f"the head did not come within {wait_s:g} s", cause="too-slow", hint=hint)


def too_many_bodies() -> TooMany:
    """Streams of one connection that together are too large."""
    return TooMany(
        "the requests on this connection are together too large",
        cause="too-much-at-once",
        hint="send fewer of them at once, or on several connections",
    )


def error_of(code: ErrorCode) -> DoorwardError:
    """The error that one of mitmproxy's reasons is."""
    match code:
        case ErrorCode.REQUEST_TOO_LARGE:
            return TooLarge("the body is over limits.request_body", cause="request-too-large", hint="send less at once")
        case ErrorCode.RESPONSE_TOO_LARGE:
            return Withheld(
                "the answer is over limits.response_body", cause="response-too-large", hint="ask for less, page by page"
            )
        case ErrorCode.REQUEST_VALIDATION_FAILED | ErrorCode.GENERIC_CLIENT_ERROR | ErrorCode.DESTINATION_UNKNOWN:
            return Unclear("the request is malformed", cause="malformed-request", hint="send well-formed HTTP")
        case ErrorCode.RESPONSE_VALIDATION_FAILED:
            return TargetFailed(
                "the target's answer is malformed", cause="malformed-answer", hint="tell the target's owner"
            )
        case ErrorCode.CONNECT_FAILED:
            return TargetFailed(
                "the target cannot be reached", cause="target-unreachable", hint="check the target, then repeat"
            )
        case ErrorCode.CLIENT_DISCONNECTED | ErrorCode.CANCEL:
            return TargetFailed("the agent closed the connection", cause="agent-left", hint="keep it open")
        case _:
            return TargetFailed(
                "the target closed the connection", cause="target-closed", hint="check whether it acted, then repeat"
            )
