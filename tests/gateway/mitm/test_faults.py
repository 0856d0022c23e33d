import pytest
from mitmproxy.proxy.layers.http._events import ErrorCode

from doorward.errors import DoorwardError
from doorward.gateway.mitm.faults import error_of, too_many_bodies, too_slow


@pytest.mark.parametrize("code", list(ErrorCode), ids=lambda code: code.name)
def test_each_reason_of_mitmproxys_is_an_error_of_ours(code: ErrorCode) -> None:
    error = error_of(code)
    assert error.cause
    assert error.hint


@pytest.mark.parametrize(("error", "status"), [(too_slow(10.0), 408), (too_many_bodies(), 429)])
def test_our_own_limits(error: DoorwardError, status: int) -> None:
    assert error.status == status
    assert error.hint
