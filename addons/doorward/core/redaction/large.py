"""Masks a document that was cut because it is large: run by run, with no more than a run in hand.

Each run of children is opened, masked and written before the next, so what is added to the
memory is little more than what is written. The result is the same as that of one call: the
same states, the same replacements, the same bytes.

The exception is an object of which a key stands twice. The last one counts, and it stands
where the first one stood; so such an object is gathered before it is written.

Called by `walk` alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from msgspec import Raw

from doorward.core.redaction.automaton import Place, State
from doorward.core.redaction.children import element_state, elements_of, member_state, members_of
from doorward.core.redaction.conditions import Condition
from doorward.core.redaction.cutting import Large, Nested, Run
from doorward.core.redaction.document import Unreadable, count_members, open_array, open_object
from doorward.core.redaction.masking import Masking
from doorward.core.redaction.masks import Replacement
from doorward.core.redaction.paths import Matching
from doorward.core.redaction.steps import Steps
from doorward.core.redaction.tally import Field

_COPIED = 256 << 10  # bytes that are copied in one step
_TOGETHER = 64  # members of an object with duplicates that are masked in one step
_STAND_IN = {True: Raw(b"{}"), False: Raw(b"[]")}  # a replacement of a container asks only which kind it is


class LargeMasking:
    """One masking of one cut document; `pieces` is what it writes."""

    __slots__ = ("_body", "_masking", "_view", "pieces")

    def __init__(self, masking: Masking, body: bytes) -> None:
        self._masking = masking
        self._body = body
        self._view = memoryview(body)
        self.pieces: list[bytes] = []

    def mask(self, state: State, node: Large, field: Field, depth: int = 1) -> Steps[None]:
        """Write this container masked; raises Unreadable."""
        narrow = yield from self.narrowed(state, node)
        if narrow is None:
            yield from self._copy(node)
            return
        self._masking.expanded(narrow, depth)
        if node.is_object:
            yield from self._object(narrow, node, field, depth)
        else:
            yield from self._array(narrow, node, field, depth)

    def narrowed(self, state: State, node: Large) -> Steps[State | None]:
        """What of the state may still lead to a hit inside, as `masking.narrowed` says of what is small."""
        if not state.live:
            return None
        if not self._masking.plain:
            return state
        return (yield from self._masking.automaton.narrow_in_steps(state, self._body, node.start, node.end))

    def _array(self, state: State, node: Large, field: Field, depth: int) -> Steps[None]:
        length = (yield from self._count(node)) if state.positional else None
        masking, first = self._masking, 0
        written = _Written(self.pieces, b"[", b"]")
        for part in node.parts:
            if isinstance(part, Nested):
                chosen = yield from self._chosen(state, part.value)
                child = element_state(masking.automaton, state, first, length, chosen)
                yield from self._nested(child, part, (masking.tally.element(field), depth), written)
                first += 1
                continue
            elements: list[Any] = open_array(self._opened(part))
            children = elements_of(masking.automaton, state, elements, first, length)
            first += len(elements)
            removed = set(masking.visit(elements, children, field, depth))
            yield from masking.drain()
            written.add([element for at, element in enumerate(elements) if at not in removed] if removed else elements)
            yield
        written.end()

    def _object(self, state: State, node: Large, field: Field, depth: int) -> Steps[None]:
        is_unique = yield from self._has_unique_keys(node)
        if not is_unique and state.guarded:
            raise Unreadable("duplicate-key")
        groups = self._groups(node) if is_unique else iter((yield from self._gathered(node)))
        masking = self._masking
        written = _Written(self.pieces, b"{", b"}")
        for group in groups:
            if isinstance(group, Nested):
                name = group.key or ""
                child = member_state(masking.automaton, state, name, (yield from self._chosen(state, group.value)))
                yield from self._nested(child, group, (masking.tally.member(field, name), depth), written)
                continue
            for name in masking.visit(group, members_of(masking.automaton, state, group), field, depth):
                del group[name]
            yield from masking.drain()
            written.add(group)
            yield
        written.end()

    def _nested(self, state: State, part: Nested, place: tuple[Field, int], written: "_Written") -> Steps[None]:
        """Write one large child, unless it is removed."""
        field, depth = place
        if state.leaf is None:
            written.begin(part.key)
            yield from self.mask(state, part.value, field, depth + 1)
        elif state.leaf.replace_with is Replacement.REMOVE:
            field.note(state.leaf, Replacement.REMOVE)
        else:
            written.begin(part.key)
            stand_in = _STAND_IN[part.value.is_object]
            self.pieces.append(bytes(self._masking.replaced(state.leaf, stand_in, field)))

    def _opened(self, run: Run, *, is_object: bool = False) -> bytes:
        opener, closer = (b"{", b"}") if is_object else (b"[", b"]")
        return b"".join((opener, self._view[run.start : run.end], closer))

    def _copy(self, node: Large) -> Steps[None]:
        for at in range(node.start, node.end, _COPIED):
            self.pieces.append(self._body[at : min(node.end, at + _COPIED)])
            yield

    def _count(self, node: Large) -> Steps[int]:
        count = 0
        for part in node.parts:
            count += 1 if isinstance(part, Nested) else len(open_array(self._opened(part)))
            yield
        return count

    def _has_unique_keys(self, node: Large) -> Steps[bool]:
        names: set[str] = set()
        count = 0
        for part in node.parts:
            if isinstance(part, Nested):
                names.add(part.key or "")
                count += 1
            else:
                opened = self._opened(part, is_object=True)
                names.update(open_object(opened))
                count += count_members(opened)
            yield
        return len(names) == count

    def _groups(self, node: Large) -> Iterator[dict[str, Any] | Nested]:
        for part in node.parts:
            yield part if isinstance(part, Nested) else open_object(self._opened(part, is_object=True))

    def _gathered(self, node: Large) -> Steps[list[dict[str, Any] | Nested]]:
        """The members that count, each where its key stood first, as a parser puts them."""
        members: dict[str, Raw | Large] = {}
        for group in self._groups(node):
            if isinstance(group, Nested):
                members[group.key or ""] = group.value
            else:
                members.update(group)
            yield
        groups: list[dict[str, Any] | Nested] = []
        group = {}
        for name, value in members.items():
            if isinstance(value, Large) or len(group) >= _TOGETHER:
                groups.append(group)
                group = {}
                yield
            if isinstance(value, Large):
                groups.append(Nested(name, value))
            else:
                group[name] = value
        return [*groups, group]

    def _chosen(self, state: State, node: Large) -> Steps[list[Place]]:
        """The places to which the state's filters lead a large child."""
        chosen = []
        for matching, place in state.matching:
            if (yield from self._fulfils(matching, node)):
                chosen.append(place)
        return chosen

    def _fulfils(self, matching: Matching, node: Large) -> Steps[bool]:
        for condition in matching.conditions:
            if not (yield from self._holds(condition, node)):
                return False
        return True

    def _holds(self, condition: Condition, node: Large) -> Steps[bool]:
        """What `condition.holds` says, without opening at once what is large."""
        value: Raw | Large = node
        path = condition.path
        while path and isinstance(value, Large):
            found = yield from self._child(value, path[0])
            if found is None:
                return condition.op == "!="
            value, path = found, path[1:]
        if isinstance(value, Large):  # no container equals a literal
            return condition.op in (None, "!=")
        return replace(condition, path=path).holds(value)

    def _child(self, node: Large, key: str | int) -> Steps[Raw | Large | None]:
        if isinstance(key, str) != node.is_object:
            return None
        if isinstance(key, str):
            if not (yield from self._has_unique_keys(node)):
                raise Unreadable("duplicate-key")
            for group in self._groups(node):
                if isinstance(group, Nested):
                    if group.key == key:
                        return group.value
                elif key in group:
                    found: Raw = group[key]
                    return found
                yield
            return None
        at = key if key >= 0 else key + (yield from self._count(node))
        for part in node.parts:
            elements = [part.value] if isinstance(part, Nested) else open_array(self._opened(part))
            if 0 <= at < len(elements):
                return elements[at]
            at -= len(elements)
            yield
        return None


class _Written:
    """Writes one container piece by piece."""

    __slots__ = ("_before", "_closer", "_opener", "_pieces")

    def __init__(self, pieces: list[bytes], opener: bytes, closer: bytes) -> None:
        self._pieces = pieces
        self._opener = self._before = opener
        self._closer = closer

    def add(self, children: Sequence[Any] | Mapping[str, Any]) -> None:
        if children:
            encoded = memoryview(msgspec.json.encode(children))
            self._pieces.append(b"".join((self._before, encoded[1:-1])))
            self._before = b","

    def begin(self, key: str | None) -> None:
        """One child follows, written by somebody else."""
        name = b"" if key is None else msgspec.json.encode(key) + b":"
        self._pieces.append(self._before + name)
        self._before = b","

    def end(self) -> None:
        self._pieces.append(self._closer if self._before == b"," else self._opener + self._closer)
