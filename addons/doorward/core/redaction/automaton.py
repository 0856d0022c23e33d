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
from doorward.core.redaction.scan import Scan, escapes_of, needle, proof_names

type Place = tuple[int, int]  # a rule, and how many of its steps are taken

MAX_STATES = 4096  # kept at a time; rules like $..a.*.*.* can make very many


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a rule wants where its path ends."""

    rule: str
    replace_with: Replacement


class State:
    """Where a value stands in all paths; `expand` of the automaton fills the second half."""

    __slots__ = (
        "accepted",
        "expanded",
        "guarded",
        "joined",
        "leaf",
        "live",
        "matching",
        "named",
        "other",
        "places",
        "positional",
        "scan",
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
        proofs = [proof_names(paths[rule][taken:]) for rule, taken in self.live]
        self.scan = Scan({needle(name) for names in proofs for name in names}) if all(proofs) else None
        self.expanded = False
        self.named: dict[str, State] = {}
        self.other: State = self
        self.positional: tuple[tuple[Positions | Span, Place], ...] = ()
        self.matching: tuple[tuple[Matching, Place], ...] = ()
        self.joined: dict[tuple[State, tuple[Place, ...]], State] = {}


class Automaton:
    """The rules, compiled; one for a policy, shared by all its documents (not by threads)."""

    def __init__(self, leaves: Sequence[Leaf], paths: Sequence[tuple[Step, ...]]) -> None:
        self.leaves = tuple(leaves)
        self.paths = tuple(paths)
        self.escapes = escapes_of(
            name for path in paths for taken in range(len(path)) for name in proof_names(path[taken:])
        )
        self._states: dict[frozenset[Place], State] = {}

    @property
    def root(self) -> State:
        """The state of the document itself."""
        return self._state(frozenset((rule, 0) for rule in range(len(self.paths))))

    def open(self, state: State) -> State:
        """The same state with its ways out known."""
        if not state.expanded:
            self._expand(state)
        return state

    def join(self, state: State, base: State, more: Sequence[Place]) -> State:
        """The child's state when choices of `state` lead further than its key does."""
        key = (base, tuple(more))
        found = state.joined.get(key)
        if found is None:
            found = state.joined[key] = self._state(base.places.union(more))
        return found

    def _expand(self, state: State) -> None:
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
                case Matching() as selector:
                    matching.append((selector, target))
        state.other = self._state(frozenset(other))
        state.named = {name: self._state(frozenset(places | other)) for name, places in named.items()}
        state.positional = tuple(positional)
        state.matching = tuple(matching)
        state.expanded = True

    def _state(self, places: frozenset[Place]) -> State:
        state = self._states.get(places)
        if state is None:
            if len(self._states) >= MAX_STATES:
                self._states.clear()
            state = self._states[places] = State(self, places)
        return state


def _filtered(steps: Sequence[Step]) -> bool:
    return any(isinstance(step.selector, Matching) for step in steps)
