from tests.parts.recorded import Recorded


def test_without_a_reason_nothing_is_shown(recorded: Recorded) -> None:
    for why in ((), ("--why", " ")):
        assert recorded.ask("flows", "open", "--no-browser", *why).code == 2


def test_without_a_ledger_nothing_is_shown(recorded: Recorded) -> None:
    ran = recorded.terminal.run("flows", "open", "--no-browser", "--why", "x")
    assert (ran.code, ran.out) == (3, "")
