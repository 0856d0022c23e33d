"""One walk of a JSON document for all rules: masking it, or selecting from it.

There is one engine and three ways in: a body at once (`redact_json`), a large body in steps
(`redact_in_steps`), and the events of streams, each of which is a body. The body itself is
returned only where `scan` proves that no rule can hit.

Masking once more changes nothing, except where a rule depends on what another one changed
(a filter on a masked field, a position after a removed element): then more is masked, never
less.

Called by `core.clearing` and the framers for bodies and events, and by the policy's body
conditions.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Raw

from doorward.core.redaction.automaton import Automaton
from doorward.core.redaction.children import Children, elements_of, may_hold, members_of
from doorward.core.redaction.cutting import Large
from doorward.core.redaction.document import (
    MAX_DEPTH,
    OBJECT,
    Document,
    Unreadable,
    open_array,
    open_object_once,
    read_document,
    read_in_steps,
)
from doorward.core.redaction.large import LargeMasking
from doorward.core.redaction.masking import Masking
from doorward.core.redaction.masks import Replacer
from doorward.core.redaction.steps import Steps, finish
from doorward.errors import Unclear, Withheld
from doorward.model import Mask


@dataclass(frozen=True, slots=True)
class Redacted:
    """A document without what the rules name, and what was replaced in it."""

    body: bytes
    masks: tuple[Mask, ...]


@dataclass(frozen=True, slots=True)
class RedactedPieces:
    """The same, the document in pieces; to join those of a large one takes a while."""

    pieces: tuple[bytes, ...]
    masks: tuple[Mask, ...]

    def joined(self) -> Redacted:
        """In one piece."""
        return Redacted(self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces), self.masks)


@dataclass(frozen=True, slots=True)
class Selection:
    """For each rule, in their order, the JSON of every value its path leads to."""

    values: tuple[tuple[bytes, ...], ...]


def redact_json(automaton: Automaton, body: bytes, replacer: Replacer) -> Redacted:
    """The body with every hit replaced; raises Withheld for what cannot be read in one way."""
    return finish(redact_in_steps(automaton, body, replacer)).joined()


def redact_in_steps(automaton: Automaton, body: bytes, replacer: Replacer) -> Steps[RedactedPieces]:
    """The same, giving control back every few milliseconds."""
    try:
        document = yield from read_in_steps(body)
        return (yield from _redact(automaton, document, replacer))
    except Unreadable as error:
        raise unreadable(error) from None


def redact_document(automaton: Automaton, document: Document, replacer: Replacer) -> Steps[RedactedPieces]:
    """The same for a document that was read already."""
    try:
        return (yield from _redact(automaton, document, replacer))
    except Unreadable as error:
        raise unreadable(error) from None


def unreadable(error: Unreadable) -> Withheld:
    """The error for an answer that cannot be read in one way."""
    return Withheld(
        "the answer is not JSON that can be masked",
        cause=error.cause,
        hint="the target may answer with one JSON document in UTF-8",
    )


def select_json(automaton: Automaton, body: bytes) -> Selection:
    """What each rule's path leads to; raises Unclear for what cannot be read in one way."""
    try:
        return _select(automaton, body)
    except Unreadable as error:
        raise Unclear(
            "the body is not JSON that can be judged", cause=error.cause, hint="send one JSON document in UTF-8"
        ) from None


def _redact(automaton: Automaton, document: Document, replacer: Replacer) -> Steps[RedactedPieces]:
    body, value = document.body, document.value
    plain = yield from automaton.spells_plainly(body)
    root = yield from automaton.start(body, plain=plain)
    masking = Masking(automaton, replacer, plain=plain)
    if root.leaf is not None:
        raw = value if isinstance(value, Raw) else Raw(b"{}" if value.is_object else b"[]")
        pieces = [bytes(masking.replaced(root.leaf, raw, masking.tally.root))]
    elif isinstance(value, Large):
        large = LargeMasking(masking, body)
        if (yield from large.narrowed(root, value)) is None:
            return RedactedPieces((body,), ())
        yield from large.mask(root, value, masking.tally.root)
        pieces = large.pieces
    else:
        narrow = masking.narrowed(root, value)
        if narrow is None:
            return RedactedPieces((body,), ())
        top: list[Any] = [value]
        masking.queue(narrow, value, top, 0, masking.tally.root, 1)
        yield from masking.drain()
        pieces = [msgspec.json.encode(top[0])]
    return RedactedPieces(tuple(pieces), tuple(masking.tally.masks()))


def _select(automaton: Automaton, body: bytes) -> Selection:
    raw = read_document(body)
    plain = finish(automaton.spells_plainly(body))
    values: list[list[bytes]] = [[] for _ in automaton.paths]
    todo = deque([(finish(automaton.start(body, plain=plain)), raw, 1)])
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
