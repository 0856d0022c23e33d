"""Masks what one call of the parser can open: a small document, or a run of children of a large one.

Containers are opened only where a rule can still hit; each is written again from what was
read, so that an earlier duplicate of a key never goes out. Filters look at the document as
it came, whatever other rules replace in it. No recursion: depth is limited by a number, not by
the stack.

Called by `walk` for whole documents and by `large` for runs; both give it the places to begin at.
"""

import re
from collections import deque
from typing import Any

from msgspec import Raw

from doorward.core.redaction.automaton import Automaton, Leaf, State
from doorward.core.redaction.children import Children, elements_of, members_of
from doorward.core.redaction.document import (
    MAX_DEPTH,
    OBJECT,
    Unreadable,
    open_array,
    open_object,
    open_object_once,
    open_objects,
)
from doorward.core.redaction.masks import Replacement, Replacer
from doorward.core.redaction.steps import Steps
from doorward.core.redaction.tally import Field, Tally

_ENOUGH = 64 << 10  # bytes of containers that are opened in one step
_EACH = 64  # bytes that opening a container costs at least


class Masking:
    """One document's masking: what is still to be opened, and what was replaced so far."""

    __slots__ = ("_shortened", "_todo", "automaton", "plain", "replacer", "tally")

    def __init__(self, automaton: Automaton, replacer: Replacer, *, plain: bool) -> None:
        self.automaton = automaton
        self.replacer = replacer
        self.plain = plain  # as the automaton says of the document
        self.tally = Tally()
        self._todo: deque[tuple[State, Raw, Any, Any, Field, int]] = deque()
        self._shortened: list[tuple[list[Any], set[int]]] = []

    def queue(self, state: State, raw: Raw, parent: Any, key: Any, field: Field, depth: int) -> None:
        """Open this container later, and put what was read in the place of its bytes."""
        self._todo.append((state, raw, parent, key, field, depth))

    def drain(self) -> Steps[None]:
        """Open all that is queued, and what it leads to; raises Unreadable."""
        done = 0
        while self._todo:
            first = self._todo.popleft()
            self._open(*first)
            done += len(first[1]) + _EACH
            if done > _ENOUGH:
                done = 0
                yield
        for elements, removed in self._shortened:
            elements[:] = [element for position, element in enumerate(elements) if position not in removed]
        self._shortened.clear()

    def visit(self, container: Any, children: Children, field: Field, depth: int) -> list[Any]:
        """Replace the children that hit, queue those that may hold hits; the keys to remove."""
        removed: list[Any] = []
        tally = self.tally
        for key, value, child in children:
            leaf = child.leaf
            if leaf is None:
                narrow = self.narrowed(child, value)
                if narrow is not None:
                    place = tally.element(field) if isinstance(key, int) else tally.member(field, key)
                    self._todo.append((narrow, value, container, key, place, depth + 1))
                continue
            place = tally.element(field) if isinstance(key, int) else tally.member(field, key)
            if leaf.replace_with is Replacement.REMOVE:
                removed.append(key)
                place.note(leaf, Replacement.REMOVE)
            else:
                container[key] = self.replaced(leaf, value, place)
        return removed

    def narrowed(self, state: State, raw: Raw) -> State | None:
        """What of the state may still lead to a hit inside this value; None if it cannot hold one."""
        if not state.live or _container(raw) is None:
            return None
        if not self.plain or len(raw) <= _SMALL:
            return state
        return self.automaton.narrow(state, bytes(raw))

    def replaced(self, leaf: Leaf, raw: Raw, place: Field) -> Raw:
        """What takes the place of a value."""
        done, replacement = self.replacer.replace(leaf.replace_with, raw)
        place.note(leaf, done)
        return replacement

    def expanded(self, state: State, depth: int) -> State:
        """The state with its ways out; raises Unreadable where a container of it would be too deep."""
        if depth > MAX_DEPTH:
            raise Unreadable("too-deep")
        if not state.expanded:
            self.automaton.expand(state)
        return state

    def _open(self, state: State, raw: Raw, parent: Any, key: Any, field: Field, depth: int) -> None:
        """Read one container, put it in the place of its bytes, and replace what hits in it."""
        self.expanded(state, depth)
        if memoryview(raw)[0] == OBJECT:
            members = parent[key] = open_object_once(raw) if state.guarded else open_object(raw)
            self._members(state, members, field, depth)
        elif not self._open_alike(state, raw, parent, key, field, depth):
            elements = parent[key] = open_array(raw)
            removed = self.visit(elements, elements_of(self.automaton, state, elements), field, depth)
            if removed:
                self._shortened.append((elements, set(removed)))

    def _open_alike(self, state: State, raw: Raw, parent: Any, key: Any, field: Field, depth: int) -> bool:
        """Read an array of objects in which no rule tells one from the other, all of them by one call."""
        each = state.other
        if state.positional or state.matching or each.leaf is not None or not each.live or each.guarded:
            return False
        objects = open_objects(raw)
        if objects is None:
            return False
        parent[key] = objects
        self.expanded(each, depth + 1)
        place = self.tally.element(field)
        if each.other.places:
            for members in objects:
                self._members(each, members, place, depth + 1)
        else:
            for name, child in each.named.items():
                self._column(name, child, [members for members in objects if name in members], place, depth + 1)
        return True

    def _column(self, name: str, child: State, objects: list[dict[str, Any]], field: Field, depth: int) -> None:
        """Visit the members of one name of many objects."""
        leaf = child.leaf
        constant = self.replacer.constant(leaf.replace_with) if leaf is not None else None
        if leaf is None or constant is None:
            for members in objects:
                for removed in self.visit(members, [(name, members[name], child)], field, depth):
                    del members[removed]
        elif objects:
            for members in objects:
                members[name] = constant
            self.tally.member(field, name).note(leaf, leaf.replace_with, len(objects))

    def _members(self, state: State, members: dict[str, Any], field: Field, depth: int) -> None:
        if state.matching or state.other.places:
            children = members_of(self.automaton, state, members)
        else:
            children = [(name, members[name], child) for name, child in state.named.items() if name in members]
        for name in self.visit(members, children, field, depth):
            del members[name]


_SMALL = 24  # bytes up to which opening a container costs no more than searching it
_container = re.compile(rb"[{\[]").match  # the fastest look at the first byte of a Raw
