"""The step from an opened container to its members and elements, each with its state.

Two loops, since most states ask for the key alone; a state with choices (positions, slices,
filters) judges every child as it came. Called by `masking`, `large` and `walk`.
"""

import re
from collections.abc import Iterable, Sequence

from msgspec import Raw

from doorward.core.redaction.automaton import Automaton, Place, State

type Children = Iterable[tuple[str | int, Raw, State]]

_SMALL = 24  # bytes up to which opening a container costs no more than searching it


def members_of(automaton: Automaton, state: State, members: dict[str, Raw]) -> Children:
    """The members of an object in which a rule takes part; raises Unreadable where a filter meets a duplicate key."""
    named, other = state.named, state.other
    if not state.matching:
        get = named.get
        return [(name, value, child) for name, value in members.items() if (child := get(name, other)).places]
    found = []
    for name, value in members.items():
        chosen = [place for selector, place in state.matching if selector.holds(value)]
        found.append((name, value, member_state(automaton, state, name, chosen)))
    return found


def elements_of(
    automaton: Automaton, state: State, elements: list[Raw], first: int = 0, length: int | None = None
) -> Children:
    """The elements of an array in which a rule takes part; raises Unreadable where a filter meets a duplicate key.

    Of a large array some elements at a time: `first` is the position of the first of them, and
    `length` that of the whole array, where the state asks for positions.
    """
    other = state.other
    if not (state.positional or state.matching):
        return [(position, value, other) for position, value in enumerate(elements)] if other.places else ()
    places = [
        (selector.among(len(elements) if length is None else length), place) for selector, place in state.positional
    ]
    found = []
    for at, value in enumerate(elements):
        chosen = [place for positions, place in places if first + at in positions]
        chosen += [place for matching, place in state.matching if matching.holds(value)]
        found.append((at, value, automaton.join(state, other, chosen) if chosen else other))
    return found


def member_state(automaton: Automaton, state: State, name: str, chosen: Sequence[Place]) -> State:
    """The state of a member; `chosen` are the places to which filters lead it."""
    child = state.named.get(name, state.other)
    return automaton.join(state, child, chosen) if chosen else child


def element_state(
    automaton: Automaton, state: State, position: int, length: int | None, chosen: Sequence[Place]
) -> State:
    """The state of one element; `chosen` and `length` as above."""
    where = [place for selector, place in state.positional if position in selector.among(length or 0)]
    return automaton.join(state, state.other, [*where, *chosen]) if where or chosen else state.other


def may_hold(state: State, raw: Raw, *, plain: bool) -> bool:
    """Whether a hit may lie inside this value; `plain` as the automaton says of the document."""
    if not state.live or _container(raw) is None:
        return False
    return not plain or len(raw) <= _SMALL or any(state.possible(bytes(raw)))


_container = re.compile(rb"[{\[]").match  # the fastest look at the first byte of a Raw
