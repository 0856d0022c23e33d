"""Answers that stream through `doorward serve`: one by one, cleaned, recorded, and broken off when a part dies."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.parts.deployment import SECRET, Deployment
from tests.parts.policies import policy_for
from tests.parts.provider import Provider
from tests.parts.stream_target import StreamTarget

URL = "https://billing.internal/v1/events"
EVENTS = [f'data: {{"n": {number}}}\n\n'.encode() for number in range(4)]


@pytest.fixture
def stream_target() -> Iterator[StreamTarget]:
    with StreamTarget() as running:
        yield running


@pytest.fixture
def deployment(provider: Provider, stream_target: StreamTarget) -> Iterator[Deployment]:
    policy = policy_for(stream_target)
    del policy["masks"]
    with Deployment(provider, policy, limits={"response_body": "1MiB"}) as running:
        yield running


@contextmanager
def streaming(agent: httpx.Client) -> Iterator[tuple[httpx.Response, Iterator[bytes]]]:
    with agent.stream("GET", URL) as answer:
        assert answer.status_code == 200, answer.read()
        yield answer, answer.iter_raw()


def test_each_event_arrives_before_the_next_is_sent_and_all_are_recorded(
    deployment: Deployment, stream_target: StreamTarget
) -> None:
    with deployment.agent() as agent, streaming(agent) as (_, pieces):
        for event in EVENTS:
            stream_target.send(event)
            assert next(pieces) == event
        assert not deployment.entries("request.outcome")
        stream_target.end()
        assert next(pieces, None) is None
        (outcome,) = deployment.entries("request.outcome")  # durable before the end
    assert (outcome.fields["status"], outcome.fields["cause"], outcome.fields["executed"]) == (200, None, "yes")
    assert deployment.streamed(outcome) == b"".join(EVENTS)
    head = json.loads(deployment.body(outcome, "response_head"))
    assert ["Content-Type", "text/event-stream"] in head["headers"]


@contextmanager
def curl(deployment: Deployment, url: str, version: str) -> Iterator[subprocess.Popen[bytes]]:
    """A stock client that speaks both versions; what it received is read from its pipe."""
    environment = {"HTTPS_PROXY": deployment.proxy(), "CURL_CA_BUNDLE": deployment.root, "PATH": os.environ["PATH"]}
    with subprocess.Popen(["curl", "-sSN", version, url], stdout=subprocess.PIPE, env=environment) as running:
        yield running
        running.kill()


def test_events_over_http2(deployment: Deployment, stream_target: StreamTarget) -> None:
    with curl(deployment, URL, "--http2") as running:
        assert running.stdout is not None
        for event in EVENTS:
            stream_target.send(event)
            assert running.stdout.read(len(event)) == event
        stream_target.end()
        assert running.stdout.read() == b""
        assert running.wait(30) == 0


# Its last byte begins no spelling of any secret, so nothing is held back until more comes; a G begins base32 of SECRET.
PICTURE = b"\x89PNG\r\n\x1a\n"


def test_a_stream_that_is_broken_off_is_an_error_for_curl(deployment: Deployment, stream_target: StreamTarget) -> None:
    stream_target.content_type = "image/png"
    for version in ("--http1.1", "--http2"):
        with curl(deployment, URL, version) as running:
            assert running.stdout is not None
            stream_target.send(PICTURE)
            assert running.stdout.read(len(PICTURE)) == PICTURE
            stream_target.send(SECRET.encode() + b"\0")
            assert running.stdout.read() == b""
            assert running.wait(30) in (18, 92)  # a partial file; a stream that was not closed cleanly
        stream_target.end()


def test_the_credential_does_not_come_back_in_pieces(deployment: Deployment, stream_target: StreamTarget) -> None:
    with deployment.agent() as agent:
        for at in range(1, len(SECRET)):
            with streaming(agent) as (_, pieces):
                stream_target.send(b"data: " + SECRET[:at].encode())
                assert next(pieces) == b"data: "
                stream_target.send(SECRET[at:].encode() + b"\n\n")
                stream_target.end()
                assert b"".join(pieces) == b"doorward-echo-removed\n\n"
    assert {entry.fields["echo"] for entry in deployment.entries("request.outcome")} == {1}
    assert SECRET.encode() not in deployment.everything_on_disk()


def test_a_killed_gateway_breaks_the_stream_off_and_leaves_an_intent_without_outcome(
    deployment: Deployment, stream_target: StreamTarget
) -> None:
    with deployment.agent() as agent, streaming(agent) as (_, pieces):
        stream_target.send(EVENTS[0])
        assert next(pieces) == EVENTS[0]
        (worker,) = deployment.pids("gateway")
        os.kill(worker, signal.SIGKILL)
        with pytest.raises(httpx.RemoteProtocolError):
            next(pieces)
    assert not deployment.entries("request.outcome")
    deployment.wait_for(deployment.flows)  # the index follows the entries, and may be behind
    (flow,) = deployment.flows()
    assert flow.executed in (None, "unknown")


def test_a_stream_ends_properly_only_with_a_ledger(deployment: Deployment, stream_target: StreamTarget) -> None:
    with deployment.agent() as agent, streaming(agent) as (_, pieces):
        stream_target.send(EVENTS[0])
        assert next(pieces) == EVENTS[0]
        (ledger,) = deployment.pids("ledger")
        os.kill(ledger, signal.SIGSTOP)
        try:
            stream_target.send(EVENTS[1])
            assert next(pieces) == EVENTS[1]
            stream_target.end()
            with pytest.raises(httpx.RemoteProtocolError):
                next(pieces)
        finally:
            os.kill(ledger, signal.SIGKILL)
    assert len(deployment.entries("request.intent")) == 1
    assert not deployment.entries("request.outcome")


def test_a_stream_that_the_record_cannot_follow_ends(deployment: Deployment, stream_target: StreamTarget) -> None:
    with deployment.agent() as agent, streaming(agent) as (_, pieces):
        stream_target.send(EVENTS[0])
        assert next(pieces) == EVENTS[0]
        deployment.wait_for_entry("stream.part", part=1)
        (ledger,) = deployment.pids("ledger")
        os.kill(ledger, signal.SIGSTOP)
        try:
            stream_target.send(EVENTS[1])
            assert next(pieces) == EVENTS[1]
            begun = time.monotonic()
            with pytest.raises(httpx.RemoteProtocolError):
                next(pieces)
            assert time.monotonic() - begun < 20  # `stream_lag` is a second; then its outcome is not waited for long
        finally:
            os.kill(ledger, signal.SIGCONT)


def test_a_reload_ends_a_stream_that_it_denies(deployment: Deployment, stream_target: StreamTarget) -> None:
    policy = policy_for(stream_target)
    del policy["masks"]
    policy["denies"].append({"name": "no events", "match": {"paths": ["/v1/events"]}})
    with deployment.agent() as agent, streaming(agent) as (_, pieces):
        stream_target.send(EVENTS[0])
        assert next(pieces) == EVENTS[0]
        deployment.write_policy(policy)
        with pytest.raises(httpx.RemoteProtocolError):
            next(pieces)
    outcome = deployment.wait_for_entry("request.outcome", cause="policy")
    assert deployment.streamed(outcome) == EVENTS[0]


def test_what_a_killed_gateway_sent_is_in_the_record(deployment: Deployment, stream_target: StreamTarget) -> None:
    with deployment.agent() as agent, streaming(agent) as (_, pieces):
        for event in EVENTS[:2]:
            stream_target.send(event)
            assert next(pieces) == event
        part = deployment.wait_for_entry("stream.part", part=1)
        (worker,) = deployment.pids("gateway")
        os.kill(worker, signal.SIGKILL)
        with pytest.raises(httpx.RemoteProtocolError):
            next(pieces)
    assert not deployment.entries("request.outcome")
    assert deployment.streamed(part) == b"".join(EVENTS[:2])
    deployment.wait_for(lambda: deployment.flows()[0].executed == "yes")
    told = deployment.command("flows", "show", deployment.flows()[0].request, "--bodies", "--why", "a test").stdout
    assert '{"n": 1}' in told
    assert "its end was never recorded" in told


def test_a_stream_is_followed_while_it_runs(deployment: Deployment, stream_target: StreamTarget) -> None:
    with deployment.agent() as agent, streaming(agent) as (_, pieces):
        stream_target.send(EVENTS[0])
        assert next(pieces) == EVENTS[0]
        deployment.wait_for(lambda: deployment.flows() and deployment.flows()[0].parts == 1)
        line = [sys.executable, "-m", "doorward", "--config", str(deployment.folder / "doorward.yaml")]
        line += ["flows", "follow", deployment.flows()[0].request]
        with subprocess.Popen(line, stdout=subprocess.PIPE) as follower:
            assert follower.stdout is not None
            assert follower.stdout.read(len(EVENTS[0])) == EVENTS[0]
            for event in EVENTS[1:]:
                stream_target.send(event)
                assert next(pieces) == event
            stream_target.end()
            assert next(pieces, None) is None
            assert follower.stdout.read() == b"".join(EVENTS[1:])
            assert follower.wait(30) == 0


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_an_agent_that_stops_reading_stops_the_target_and_fills_no_memory(
    deployment: Deployment, stream_target: StreamTarget, version: str
) -> None:
    stream_target.content_type = "application/octet-stream"
    (worker,) = deployment.pids("gateway")
    with curl(deployment, URL.replace("events", "large"), version) as running:
        assert running.stdout is not None
        received = len(running.stdout.read(1))
        before, settled = resident_bytes(worker), -1
        while settled != stream_target.sent_bytes:  # the agent does not read; soon the target cannot write
            settled = stream_target.sent_bytes
            time.sleep(0.5)
        assert settled < 64 << 20
        most = resident_bytes(worker)
        while piece := running.stdout.read(1 << 20):
            received += len(piece)
            most = max(most, resident_bytes(worker))
        assert running.wait(30) == 0
    assert received == stream_target.large_bytes
    assert most - before < 32 << 20
    outcome = deployment.wait_for_entry("request.outcome", status=200)
    assert outcome.fields["truncated"] is True
    assert len(deployment.streamed(outcome)) == 4 << 20
