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
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Raw

from doorward.core.redaction.automaton import Automaton, Leaf, Place, State
from doorward.core.redaction.document import (
    ARRAY,
    MAX_DEPTH,
    OBJECT,
    Unreadable,
    open_array,
    open_object,
    open_object_once,
    read_document,
)
from doorward.core.redaction.masks import Replacement, Replacer
from doorward.errors import Unclear, Withheld
from doorward.model import Mask

type Trail = tuple[Trail, str | int] | None  # the way back to the root


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
            hint="see the cause; nothing of it was passed on",
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
        self.masks: list[Mask] = []
        self.provable = _provable(automaton, body)
        self.todo: deque[tuple[State, Raw, Any, Any, Trail, int]] = deque()
        self.shortened: list[tuple[list[Any], set[int]]] = []

    def run(self) -> Redacted:
        raw = read_document(self.body)
        root = self.automaton.root
        if root.leaf is not None:
            return Redacted(bytes(self.replaced(root.leaf, raw, None)), tuple(self.masks))
        if not (_is_container(raw) and self.may_hit(root, raw)):
            return Redacted(self.body, ())
        top = [raw]
        self.todo.append((root, raw, top, 0, None, 1))
        while self.todo:
            self.open(*self.todo.popleft())
        for elements, removed in self.shortened:
            elements[:] = [element for position, element in enumerate(elements) if position not in removed]
        return Redacted(msgspec.json.encode(top[0]), tuple(self.masks))

    def open(self, state: State, raw: Raw, parent: Any, key: Any, trail: Trail, depth: int) -> None:
        """Read one container, put it in the place of its bytes, and replace what hits in it."""
        if depth > MAX_DEPTH:
            raise Unreadable("too-deep")
        state = self.automaton.open(state)
        if memoryview(raw)[0] == OBJECT:
            members = open_object_once(raw) if state.guarded else open_object(raw)
            parent[key] = members
            for name in self.visit(state, members, _children(self.automaton, state, members), trail, depth):
                del members[name]
        else:
            elements = parent[key] = open_array(raw)
            removed = set(self.visit(state, elements, _elements(self.automaton, state, elements), trail, depth))
            if removed:
                self.shortened.append((elements, removed))

    def visit(
        self, state: State, container: Any, children: Iterable[tuple[Any, Raw, State]], trail: Trail, depth: int
    ) -> list[Any]:
        """Replace the children that hit, queue those that may hold hits; the keys to remove."""
        removed: list[Any] = []
        for key, value, child in children:
            if child.leaf is not None:
                if child.leaf.replace_with is Replacement.REMOVE:
                    removed.append(key)
                    self.note(child.leaf, Replacement.REMOVE, (trail, key))
                else:
                    container[key] = self.replaced(child.leaf, value, (trail, key))
            elif child.live and _is_container(value) and self.may_hit(child, value):
                self.todo.append((child, value, container, key, (trail, key), depth + 1))
        return removed

    def may_hit(self, state: State, raw: Raw) -> bool:
        return not self.provable or state.scan is None or state.scan.hits(raw)

    def replaced(self, leaf: Leaf, raw: Raw, trail: Trail) -> Raw:
        done, replacement = self.replacer.replace(leaf.replace_with, bytes(raw))
        self.note(leaf, done, trail)
        return replacement

    def note(self, leaf: Leaf, done: Replacement, trail: Trail) -> None:
        self.masks.append(Mask(leaf.rule, _format(trail), done.value))


def _select(automaton: Automaton, body: bytes) -> Selection:
    raw = read_document(body)
    provable = _provable(automaton, body)
    values: list[list[bytes]] = [[] for _ in automaton.paths]
    todo = deque([(automaton.root, raw, 1)])
    while todo:
        state, raw, depth = todo.popleft()
        for rule in state.accepted:
            values[rule].append(bytes(raw))
        if not (state.live and _is_container(raw)) or (
            provable and state.scan is not None and not state.scan.hits(raw)
        ):
            continue
        if depth > MAX_DEPTH:
            raise Unreadable("too-deep")
        state = automaton.open(state)
        children: Iterable[tuple[Any, Raw, State]]
        if memoryview(raw)[0] == OBJECT:
            children = _children(automaton, state, open_object_once(raw))
        else:
            children = _elements(automaton, state, open_array(raw))
        todo.extend((child, value, depth + 1) for _, value, child in children)
    return Selection(tuple(map(tuple, values)))


def _children(automaton: Automaton, state: State, members: dict[str, Raw]) -> Iterable[tuple[str, Raw, State]]:
    named, other = state.named, state.other
    if not state.matching:
        return [(name, value, named.get(name, other)) for name, value in members.items()]
    found = []
    for name, value in members.items():
        child = named.get(name, other)
        chosen = [place for selector, place in state.matching if selector.holds(value)]
        found.append((name, value, automaton.join(state, child, chosen) if chosen else child))
    return found


def _elements(automaton: Automaton, state: State, elements: list[Raw]) -> Iterable[tuple[int, Raw, State]]:
    other = state.other
    if not (state.positional or state.matching):
        return [(position, value, other) for position, value in enumerate(elements)]
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


def _is_container(raw: Raw) -> bool:
    return memoryview(raw)[0] in (OBJECT, ARRAY)


def _provable(automaton: Automaton, body: bytes) -> bool:
    return b"\\u" not in body or automaton.escapes.search(body) is None


def _format(trail: Trail) -> str:
    """The normalised path (RFC 9535, 2.7)."""
    segments: list[str] = []
    while trail is not None:
        trail, key = trail
        segments.append(f"[{key}]" if isinstance(key, int) else f"['{key.translate(_PATH_ESCAPES)}']")
    return "$" + "".join(reversed(segments))


_PATH_ESCAPES = {code: f"\\u{code:04x}" for code in range(0x20)} | {
    ord("'"): "\\'",
    ord("\\"): "\\\\",
    8: "\\b",
    9: "\\t",
    10: "\\n",
    12: "\\f",
    13: "\\r",
}
