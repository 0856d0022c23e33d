"""Sessions end by age, idleness and logout, and are bounded."""

from doorward.console import sessions as subject
from doorward.console.routes import Role
from doorward.console.sessions import Sessions
from doorward.model import Principal

ANNA = Principal("corp", "anna", ("corp:sre",))


def test_a_session_is_found_by_its_id_alone() -> None:
    sessions = Sessions(longest_s=100, idle_s=50)
    session_id, session = sessions.start(ANNA, {Role.REVIEWER}, 0)
    assert sessions.find(session_id, 1) == session
    assert sessions.find(session.key, 1) is None
    assert sessions.find(session_id + "x", 1) is None
    assert session.may_decide
    assert len(session_id) >= 43  # 256 bits
    assert session.token not in repr(session)


def test_each_login_has_an_id_and_a_token_of_its_own() -> None:
    sessions = Sessions(longest_s=100, idle_s=50)
    first, one = sessions.start(ANNA, {Role.VIEWER}, 0)
    second, two = sessions.start(ANNA, {Role.VIEWER}, 0)
    assert first != second
    assert one.token != two.token


def test_idle_sessions_end() -> None:
    sessions = Sessions(longest_s=100, idle_s=50)
    session_id, _ = sessions.start(ANNA, set(), 0)
    assert sessions.find(session_id, 49)
    assert sessions.find(session_id, 98)
    assert sessions.find(session_id, 99, counts_as_use=False)
    assert sessions.find(session_id, 100) is None
    assert len(sessions) == 0


def test_a_look_that_does_not_count_keeps_nobody_in() -> None:
    sessions = Sessions(longest_s=100, idle_s=50)
    session_id, session = sessions.start(ANNA, set(), 0)
    assert sessions.find(session_id, 40, counts_as_use=False)
    assert sessions.is_live(session.key, 49)
    assert sessions.find(session_id, 50) is None


def test_old_sessions_end_though_they_are_used() -> None:
    sessions = Sessions(longest_s=100, idle_s=50)
    session_id, _ = sessions.start(ANNA, set(), 0)
    assert all(sessions.find(session_id, second) for second in range(0, 100, 10))
    assert sessions.find(session_id, 100) is None


def test_logout() -> None:
    sessions = Sessions(longest_s=100, idle_s=50)
    session_id, session = sessions.start(ANNA, set(), 0)
    sessions.end(session.key)
    sessions.end(session.key)
    assert sessions.find(session_id, 1) is None


def test_one_person_pushes_out_only_their_own() -> None:
    sessions = Sessions(longest_s=100, idle_s=50)
    other, _ = sessions.start(Principal("corp", "ben"), set(), 0)
    ids = [sessions.start(ANNA, set(), second)[0] for second in range(subject.PER_PERSON + 3)]
    assert [sessions.find(session_id, 20) is not None for session_id in ids] == [False] * 3 + [
        True
    ] * subject.PER_PERSON
    assert sessions.find(other, 20)


def test_all_in_all_they_are_bounded() -> None:
    sessions = Sessions(longest_s=10_000, idle_s=10_000)
    first, _ = sessions.start(ANNA, set(), 0)
    for number in range(subject.IN_ALL):
        sessions.start(Principal("corp", f"p{number}"), set(), 1)
    assert len(sessions) == subject.IN_ALL
    assert sessions.find(first, 2) is None
