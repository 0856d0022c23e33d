"""One walk of a JSON document for all rules: masking it, or selecting from it.

Containers are opened only where a rule can still hit; each is written again from what was
read, so that an earlier duplicate of a key never goes out. Filters look at the document as
it came, whatever other rules replace in it. The body itself is returned only where `scan`
proves that no rule can hit. No recursion: depth is limited by a number, not by the stack.

Masking once more changes nothing, except where a rule depends on what another one changed
(a filter on a masked field, a position after a removed element): then more is masked, never
less.

Called by the gateway's redaction of bodies, by the record, and by the policy's body
conditions.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Raw

from doorward.core.redaction.automaton import Automaton, Leaf, State
from doorward.core.redaction.children import Children, elements_of, may_hold, members_of
from doorward.core.redaction.document import (
    MAX_DEPTH,
    OBJECT,
    Unreadable,
    open_array,
    open_object,
    open_object_once,
    read_document,
)
from doorward.core.redaction.masks import Replacement, Replacer
from doorward.core.redaction.tally import Field, Tally
from doorward.errors import Unclear, Withheld
from doorward.model import Mask


@dataclass(frozen=True, slots=True)
class Redacted:
    """A document without what the rules name, and what was replaced in it."""

    body: bytes
    masks: tuple[Mask, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """For each rule, in their order, the JSON of every value its path leads to."""

    values: tuple[tuple[bytes, ...], ...]


def redact_json(automaton: Automaton, body: bytes, replacer: Replacer) -> Redacted:
    """The body with every hit replaced; raises Withheld for what cannot be read in one way."""
    try:
        return _Redaction(automaton, body, replacer).run()
    except Unreadable as error:
        raise Withheld(
            "the answer is not JSON that can be masked",
            cause=error.cause,
            hint="the target may answer with one JSON document in UTF-8",
        ) from None


def select_json(automaton: Automaton, body: bytes) -> Selection:
    """What each rule's path leads to; raises Unclear for what cannot be read in one way."""
    try:
        return _select(automaton, body)
    except Unreadable as error:
        raise Unclear(
            "the body is not JSON that can be judged", cause=error.cause, hint="send one JSON document in UTF-8"
        ) from None


class _Redaction:
    """One masking walk."""

    def __init__(self, automaton: Automaton, body: bytes, replacer: Replacer) -> None:
        self.automaton = automaton
        self.body = body
        self.replacer = replacer
        self.plain = automaton.spells_plainly(body)
        self.tally = Tally()
        self.todo: deque[tuple[State, Raw, Any, Any, Field, int]] = deque()
        self.shortened: list[tuple[list[Any], set[int]]] = []

    def run(self) -> Redacted:
        raw = read_document(self.body)
        root = self.automaton.start(self.body, plain=self.plain)
        if root.leaf is not None:
            return self.redacted(self.replaced(root.leaf, raw, self.tally.root))
        if not may_hold(root, raw, plain=self.plain):
            return Redacted(self.body, ())
        top = [raw]
        self.todo.append((root, raw, top, 0, self.tally.root, 1))
        while self.todo:
            self.open(*self.todo.popleft())
        for elements, removed in self.shortened:
            elements[:] = [element for position, element in enumerate(elements) if position not in removed]
        return self.redacted(top[0])

    def redacted(self, document: Any) -> Redacted:
        return Redacted(msgspec.json.encode(document), tuple(self.tally.masks()))

    def open(self, state: State, raw: Raw, parent: Any, key: Any, field: Field, depth: int) -> None:
        """Read one container, put it in the place of its bytes, and replace what hits in it."""
        if depth > MAX_DEPTH:
            raise Unreadable("too-deep")
        if not state.expanded:
            self.automaton.expand(state)
        if memoryview(raw)[0] == OBJECT:
            members = open_object_once(raw) if state.guarded else open_object(raw)
            parent[key] = members
            for name in self.visit(members, members_of(self.automaton, state, members), field, depth):
                del members[name]
        else:
            elements = parent[key] = open_array(raw)
            removed = self.visit(elements, elements_of(self.automaton, state, elements), field, depth)
            if removed:
                self.shortened.append((elements, set(removed)))

    def visit(self, container: Any, children: Children, field: Field, depth: int) -> list[Any]:
        """Replace the children that hit, queue those that may hold hits; the keys to remove."""
        removed: list[Any] = []
        plain, queue, tally = self.plain, self.todo.append, self.tally
        for key, value, child in children:
            leaf = child.leaf
            if leaf is None and not may_hold(child, value, plain=plain):
                continue
            place = tally.element(field) if isinstance(key, int) else tally.member(field, key)
            if leaf is None:
                queue((child, value, container, key, place, depth + 1))
            elif leaf.replace_with is Replacement.REMOVE:
                removed.append(key)
                place.note(leaf, Replacement.REMOVE)
            else:
                container[key] = self.replaced(leaf, value, place)
        return removed

    def replaced(self, leaf: Leaf, raw: Raw, place: Field) -> Raw:
        done, replacement = self.replacer.replace(leaf.replace_with, raw)
        place.note(leaf, done)
        return replacement


def _select(automaton: Automaton, body: bytes) -> Selection:
    raw = read_document(body)
    plain = automaton.spells_plainly(body)
    values: list[list[bytes]] = [[] for _ in automaton.paths]
    todo = deque([(automaton.start(body, plain=plain), raw, 1)])
    while todo:
        state, raw, depth = todo.popleft()
        for rule in state.accepted:
            values[rule].append(bytes(raw))
        if may_hold(state, raw, plain=plain):
            if depth > MAX_DEPTH:
                raise Unreadable("too-deep")
            if not state.expanded:
                automaton.expand(state)
            children: Children
            if memoryview(raw)[0] == OBJECT:
                children = members_of(automaton, state, open_object_once(raw))
            else:
                children = elements_of(automaton, state, open_array(raw))
            todo.extend((child, value, depth + 1) for _, value, child in children if child.places)
    return Selection(tuple(map(tuple, values)))
