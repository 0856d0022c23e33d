import time

from tests.parts.entries import intent, outcome, part
from tests.parts.recorded import Recorded


def stream(recorded: Recorded, *, ended: bool = True) -> None:
    recorded.during(
        lambda worker: worker.append(intent("s1")),
        lambda worker: worker.append(part("s1", 1, b"one two ", pieces=[[50, 4], [250, 4]])),
        lambda worker: worker.append(part("s1", 2, b"three\x1b[2J\n", pieces=[[450, 10]])),
        *([lambda worker: worker.append(outcome("s1", parts=2))] if ended else []),
    )


def test_a_stream_comes_with_its_timing(recorded: Recorded) -> None:
    stream(recorded)
    begun = time.monotonic()
    ran = recorded.ask("flows", "follow", "s1", "--why", "ticket 7")
    took = time.monotonic() - begun
    assert (ran.code, ran.out) == (0, "one two three\x1b[2J\n")  # into a pipe, byte by byte
    assert took >= 0.4
    reads = recorded.entries("bodies.read")
    assert [len(read.fields["digests"]) for read in reads] == [1, 1]  # type: ignore[arg-type]  # lists
    assert {read.fields["why"] for read in reads} == {"ticket 7"}


def test_faster_and_at_once(recorded: Recorded) -> None:
    stream(recorded)
    for options in (("--speed", "100"), ("--at-once",)):
        assert recorded.ask("flows", "follow", "s1", *options).out.startswith("one two three")


def test_a_short_answer_is_printed_too(recorded: Recorded) -> None:
    assert recorded.ask("flows", "follow", "r1").out == '{"a": 1.10, "name": "K\\u00f6ln"}'


def test_a_request_that_is_not_there(recorded: Recorded) -> None:
    ran = recorded.terminal.run("flows", "follow", "r9")
    assert (ran.code, ran.out) == (1, "")
    assert "there is no request r9" in ran.err


def test_without_a_ledger_nothing_is_read(recorded: Recorded) -> None:
    stream(recorded)
    ran = recorded.terminal.run("flows", "follow", "s1")
    assert (ran.code, ran.out) == (3, "")
