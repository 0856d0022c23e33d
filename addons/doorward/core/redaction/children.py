"""The step from an opened container to its members and elements, each with its state.

Two loops, since most states ask for the key alone; a state with choices (positions, slices,
filters) judges every child as it came. Called by `walk` for masking and selecting.
"""

import re
from collections.abc import Iterable

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
        child = named.get(name, other)
        chosen = [place for selector, place in state.matching if selector.holds(value)]
        found.append((name, value, automaton.join(state, child, chosen) if chosen else child))
    return found


def elements_of(automaton: Automaton, state: State, elements: list[Raw]) -> Children:
    """The elements of an array in which a rule takes part; raises Unreadable where a filter meets a duplicate key."""
    other = state.other
    if not (state.positional or state.matching):
        return [(position, value, other) for position, value in enumerate(elements)] if other.places else ()
    chosen_at: dict[int, list[Place]] = {}
    for selector, place in state.positional:
        for position in selector.of(len(elements)):
            chosen_at.setdefault(position, []).append(place)
    found = []
    for position, value in enumerate(elements):
        chosen = chosen_at.get(position, [])
        chosen += [place for matching, place in state.matching if matching.holds(value)]
        found.append((position, value, automaton.join(state, other, chosen) if chosen else other))
    return found


def may_hold(state: State, raw: Raw, *, plain: bool) -> bool:
    """Whether a hit may lie inside this value; `plain` as the automaton says of the document."""
    if not state.live or _container(raw) is None:
        return False
    return not plain or state.scan is None or len(raw) <= _SMALL or state.scan.hits(raw)


_container = re.compile(rb"[{\[]").match  # the fastest look at the first byte of a Raw
