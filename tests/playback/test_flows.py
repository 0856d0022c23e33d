import io
import subprocess
import sys
from pathlib import Path

import pytest
from mitmproxy import http
from mitmproxy.io import FlowReader

from doorward.playback.flows import mitmproxy_bytes, mitmproxy_flow, url_parts
from tests.parts.recorded import FLOWS, recorded_flow

MITMDUMP = Path(sys.executable).parent / "mitmdump"


def read(data: bytes) -> list[http.HTTPFlow]:
    flows = list(FlowReader(io.BytesIO(data)).stream())
    assert all(isinstance(each, http.HTTPFlow) for each in flows)
    return flows  # type: ignore[return-value]  # as just seen


def test_mitmproxys_own_reader_loads_every_sort_of_flow() -> None:
    flows = read(b"".join(map(mitmproxy_bytes, FLOWS.values())))
    assert len(flows) == len(FLOWS)
    told = dict(zip(FLOWS, flows, strict=True))
    whole = told["whole"]
    assert whole.request.pretty_url == FLOWS["whole"].url.replace(":443", "")
    assert whole.request.get_content() == b'{"total": 1.10}'
    assert whole.response is not None
    assert whole.response.json() == {"email": "doorward-masked-0"}
    assert whole.response.headers["content-length"] == "30"
    assert told["refused"].response is None
    assert told["refused"].error is not None
    assert "refused by the gateway (policy)" in told["refused"].comment
    assert told["counted"].metadata["doorward"]["count"] == 41
    assert told["truncated"].metadata["doorward"]["response_body"] == "truncated"


def test_stock_mitmdump_prints_each(tmp_path: Path) -> None:
    file = tmp_path / "flows"
    file.write_bytes(b"".join(map(mitmproxy_bytes, FLOWS.values())))
    command = [str(MITMDUMP), "-nr", str(file), "--set", f"confdir={tmp_path / 'conf'}", "--set", "flow_detail=1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("PATCH https://billing.internal/v1/customers/1") == len(FLOWS) - 3
    assert "GET https://billing.internal/v1/customers/1" in done.stdout
    assert "UNKNOWN https://unknown.invalid/" in done.stdout


def test_coded_and_chunked_answers_go_by_the_length_of_their_masked_form() -> None:
    answered = FLOWS["whole"].answered
    assert answered is not None
    headers = (("Content-Encoding", "gzip"), ("Transfer-Encoding", "chunked"), ("Content-Length", "7"))
    (flow,) = read(mitmproxy_bytes(recorded_flow(answered=type(answered)(headers, b"masked", answered.kept, 6))))
    assert flow.response is not None
    assert flow.response.headers.fields == ((b"Content-Length", b"6"),)
    assert flow.response.content == b"masked"


def test_answers_without_a_body_keep_their_length() -> None:
    empty = FLOWS["without bodies"]
    assert empty.answered is not None
    flow = mitmproxy_flow(empty)
    assert flow.response is not None
    assert "content-length" not in flow.response.headers
    stated = type(empty.answered)((("Content-Length", "120"),))
    head = mitmproxy_flow(recorded_flow(method="HEAD", status=200, answered=stated))
    assert head.response is not None
    assert (head.response.headers["content-length"], head.response.raw_content) == ("120", b"")


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://a/b?c=d", ("https", "a", 443, "/b?c=d")),
        ("http://a:8080", ("http", "a", 8080, "/")),
        ("http://[::1]/x", ("http", "::1", 80, "/x")),
        ("https://[x/", ("https", "other", 443, "/")),
        ("https://a:99999/", ("https", "other", 443, "/")),
        ("", ("https", "other", 443, "/")),
    ],
)
def test_parts_of_a_url(url: str, parts: tuple[str, str, int, str]) -> None:
    assert url_parts(url, "other") == parts
