"""All rules as one automaton: each key or position leads from a state to the next.

A state is the set of places in all paths that a value has come to. States are made when a
document first asks for them and kept; one walk of a document serves all rules. What depends
on more than the key (positions, slices, filters) are the state's choices.

Built by `rules.compile_rules`; read by `walk`, which alone touches documents.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from doorward.core.redaction.masks import STRICTNESS, Replacement
from doorward.core.redaction.paths import Anything, Matching, Names, Positions, Span, Step
from doorward.core.redaction.scan import (
    ESCAPE_LENGTH,
    Scan,
    best_proof,
    escapes_of,
    matches_in_steps,
    needle,
    proofs,
    stands_in,
)
from doorward.core.redaction.search import Search
from doorward.core.redaction.steps import Steps

type Place = tuple[int, int]  # a rule, and how many of its steps are taken

_FEW = 8  # texts up to which a search for each beats one for all
_MOST_KEPT = 256  # states that one state remembers of each kind
MAX_STATES = 1024  # kept at a time; rules like $..a.*.*.* can make very many


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """What a rule wants where its path ends; compared by identity, for it is counted by."""

    rule: str
    replace_with: Replacement


class State:
    """Where a value stands in all paths; the automaton's `expand` finds its ways out."""

    __slots__ = (
        "accepted",
        "expanded",
        "guarded",
        "joined",
        "leaf",
        "live",
        "matching",
        "named",
        "narrowed",
        "other",
        "places",
        "positional",
        "search",
        "several",
        "wanted",
    )

    def __init__(self, automaton: "Automaton", places: frozenset[Place]) -> None:
        paths = automaton.paths
        self.places = places
        self.accepted = tuple(sorted(rule for rule, taken in places if taken == len(paths[rule])))
        self.leaf = min(
            (automaton.leaves[rule] for rule in self.accepted),
            key=lambda leaf: STRICTNESS[leaf.replace_with],
            default=None,
        )
        self.live = tuple(sorted(place for place in places if place[1] < len(paths[place[0]])))
        self.guarded = any(_filtered(paths[rule][taken:]) for rule, taken in self.live)
        # For each live place what must stand below it: one text (an empty one stands anywhere), or one of several.
        needed = [best_proof(paths[rule][taken:]) for rule, taken in self.live]
        self.wanted = [needle(names[0]) if len(names) == 1 else b"" for names in needed]
        self.several = [(at, tuple(map(needle, names))) for at, names in enumerate(needed) if len(names) > 1]
        texts = {needle(name) for names in needed for name in names}
        self.search = Search(sorted(texts)) if len(texts) > _FEW else None
        self.expanded = False
        self.named: dict[str, State] = {}
        self.other: State = self
        self.positional: tuple[tuple[Positions | Span, Place], ...] = ()
        self.matching: tuple[tuple[Matching, Place], ...] = ()
        self.joined: dict[tuple[State, tuple[Place, ...]], State] = {}
        self.narrowed: dict[tuple[bool, ...], State] = {}

    def possible(self, text: bytes) -> list[bool]:
        """For each live place whether what must stand below it stands in this text."""
        if self.search is None:
            possible = [name in text for name in self.wanted]
            for at, names in self.several:
                possible[at] = any(name in text for name in names)
        else:
            present = self.search.present(text)
            possible = [not name or name in present for name in self.wanted]
            for at, names in self.several:
                possible[at] = not present.isdisjoint(names)
        return possible


class Automaton:
    """The rules, compiled; one for a policy, shared by all its documents (not by threads)."""

    def __init__(self, leaves: Sequence[Leaf], paths: Sequence[tuple[Step, ...]]) -> None:
        self.leaves = tuple(leaves)
        self.paths = tuple(paths)
        self._proofs = [[[needle(name) for name in names] for names in proofs(path)] for path in self.paths]
        self._scan = Scan({needle for groups in self._proofs for group in groups for needle in group})
        self._escapes = escapes_of(name for path in self.paths for names in proofs(path) for name in names)
        self._states: dict[frozenset[Place], State] = {}
        self._starts: dict[frozenset[bytes], State] = {}  # by the needles that stand in a document

    def spells_plainly(self, body: bytes) -> Steps[bool]:
        """Whether every name that serves as a proof has but one spelling in this document."""
        if not (yield from stands_in(body, b"\\u", 0, len(body))):
            return True
        return not (yield from matches_in_steps(self._escapes, ESCAPE_LENGTH, body))

    def start(self, body: bytes, *, plain: bool) -> Steps[State]:
        """The state of the document itself, without the rules that cannot hit in it."""
        if not plain:
            return self._state(frozenset((rule, 0) for rule in range(len(self.paths))))
        present = yield from self._scan.present_in_steps(body)
        found = self._starts.get(present)
        if found is None:
            possible = (
                rule
                for rule, groups in enumerate(self._proofs)
                if all(not present.isdisjoint(group) for group in groups)
            )
            found = self._state(frozenset((rule, 0) for rule in possible))
            if len(self._starts) >= MAX_STATES:
                self._starts.clear()
            self._starts[present] = found
        return found

    def join(self, state: State, base: State, more: Sequence[Place]) -> State:
        """The child's state when choices of `state` lead further than its key does."""
        key = (base, tuple(more))
        found = state.joined.get(key)
        if found is None:
            if len(state.joined) >= _MOST_KEPT:
                state.joined.clear()
            found = state.joined[key] = self._state(base.places.union(more))
        return found

    def narrow(self, state: State, text: bytes) -> State | None:
        """The state of a container, without the places that cannot hit in these bytes of it; None if none can.

        Only for a document that spells its names plainly.
        """
        return self._narrowed(state, state.possible(text))

    def narrow_in_steps(self, state: State, body: bytes, start: int, end: int) -> Steps[State | None]:
        """The same for a large container of a body."""
        possible = [False] * len(state.wanted)
        for at, name in enumerate(state.wanted):
            possible[at] = yield from stands_in(body, name, start, end)
        for at, names in state.several:
            possible[at] = False
            for name in names:
                possible[at] = possible[at] or (yield from stands_in(body, name, start, end))
        return self._narrowed(state, possible)

    def expand(self, state: State) -> None:
        """Find the state's ways out."""
        named: dict[str, set[Place]] = {}
        other: set[Place] = set()
        positional: list[tuple[Positions | Span, Place]] = []
        matching: list[tuple[Matching, Place]] = []
        for rule, taken in state.live:
            step = self.paths[rule][taken]
            target = (rule, taken + 1)
            if step.deep:
                other.add((rule, taken))
            match step.selector:
                case Names(names):
                    for name in names:
                        named.setdefault(name, set()).add(target)
                case Anything():
                    other.add(target)
                case Positions() | Span() as selector:
                    positional.append((selector, target))
                case selector:
                    matching.append((selector, target))
        state.other = self._state(frozenset(other))
        state.named = {name: self._state(frozenset(places | other)) for name, places in named.items()}
        state.positional = tuple(positional)
        state.matching = tuple(matching)
        state.expanded = True

    def _narrowed(self, state: State, possible: list[bool]) -> State | None:
        key = tuple(possible)
        found = state.narrowed.get(key)
        if found is None and any(key):
            places = {place for place, is_possible in zip(state.live, key, strict=True) if is_possible}
            if len(state.narrowed) >= _MOST_KEPT:
                state.narrowed.clear()
            found = state.narrowed[key] = self._state(frozenset(places))
        return found

    def _state(self, places: frozenset[Place]) -> State:
        state = self._states.get(places)
        if state is None:
            if len(self._states) >= MAX_STATES:
                self._states.clear()
                self._starts.clear()
            state = self._states[places] = State(self, places)
        return state


def _filtered(steps: Sequence[Step]) -> bool:
    return any(isinstance(step.selector, Matching) for step in steps)
