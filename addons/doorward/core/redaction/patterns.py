r"""Literals and patterns of text masks -> what finds them, and what finds their beginnings.

Patterns are read here into a small tree, of which two expressions are written for RE2: the pattern
itself, and one that finds where a match may have begun that the text does not hold whole. RE2
takes time in proportion to the text, whatever text and pattern are, so that no answer can make a
search run for ever. What it or the tree does not know (looking ahead or behind, references back,
`\A`, `\z`) is refused when the policy is loaded, and so is a pattern that matches nothing at all.

Called by the policy's reader (`check_text`) and by `text` (`compile_texts`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import re2

from doorward.core.redaction.masks import Replacement
from doorward.errors import Misconfigured

LONGEST = 400  # characters of one literal or pattern
_DEEPEST = 20  # groups in each other

_ESCAPE = r"\\(?:[dDwWsStnrfv]|x[0-9a-fA-F]{2}|x\{[0-9a-fA-F]{1,6}\}|[pP](?:[A-Z]|\{\^?\w+\})|[!-/:-@\[-`{-~])"
_ONE = re.compile(
    rf"{_ESCAPE}|\[\^?\]?(?:{_ESCAPE}|\[:\^?[a-z]+:\]|[^\]\\])*\]|[^\\\[(){{*+?|^$]", re.ASCII | re.DOTALL
)
_MARK = re.compile(r"\\[bB]|[\^$]")
_OPENER = re.compile(r"\((?:\?:|\?P<[A-Za-z_]\w*>|(?!\?))", re.ASCII)
_REPEAT = re.compile(r"(?:([*+?])|\{([0-9]+)(?:(,)([0-9]*))?\})(\??)", re.ASCII)
_FLAGS = re.compile(r"\(\?([is]{1,2})\)")
_BOUNDS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}


@dataclass(frozen=True, slots=True)
class TextRule:
    """One literal or pattern of one mask."""

    rule: str  # the mask's name, as entries and decisions write it
    text: str
    is_pattern: bool
    replace_with: Replacement = Replacement.SENTINEL


@dataclass(frozen=True, slots=True)
class CompiledText:
    """What finds one literal or pattern in UTF-8."""

    rule: str
    replace_with: Replacement
    pattern: "re2._Regexp"
    begun: "re2._Regexp"  # finds the first place from which the text to its end may begin a match; else its end
    step: int | None  # bytes from one match of a literal to the next that overlaps it; of a pattern none overlap


@dataclass(frozen=True, slots=True)
class _One:
    """One character."""

    source: str


@dataclass(frozen=True, slots=True)
class _Mark:
    """A condition between two characters."""

    source: str


@dataclass(frozen=True, slots=True)
class _Row:
    parts: tuple["_Node", ...]


@dataclass(frozen=True, slots=True)
class _Choice:
    options: tuple["_Node", ...]


@dataclass(frozen=True, slots=True)
class _Repeat:
    inner: "_Node"
    least: int
    most: int | None
    source: str  # such as {2,3}?


type _Node = _One | _Mark | _Row | _Choice | _Repeat


def compile_texts(rules: Sequence[TextRule]) -> tuple[CompiledText, ...]:
    """What finds these rules; raises Misconfigured (`unsupported-pattern`)."""
    return tuple(map(_compile, rules))


def check_text(text: str, *, is_pattern: bool) -> None:
    """Raises Misconfigured, with a hint, for what `compile_texts` would refuse."""
    _compile(TextRule("", text, is_pattern))


def _compile(rule: TextRule) -> CompiledText:
    if not rule.text:
        raise _unsupported("it is empty", "name what is to be masked")
    if len(rule.text) > LONGEST:
        raise _unsupported(f"it is longer than {LONGEST} characters", "a part of it may do")
    flags = "m"
    if rule.is_pattern:
        found = _FLAGS.match(rule.text)
        flags += found[1] if found else ""
        tree = _Reader(rule.text, found.end() if found else 0).all()
        begun = tree
        if _least(tree) == 0:
            raise _unsupported("it matches an empty text", "demand at least one character, as + does")
    else:
        parts = tuple(_One(re2.escape(character)) for character in rule.text)
        tree, begun = _Row(parts), _Row(parts[:-1])  # one that is whole needs no more text
    options = re2.Options()
    options.never_capture = True
    options.log_errors = False
    try:
        return CompiledText(
            rule.rule,
            rule.replace_with,
            re2.compile(f"(?{flags}:{_source(tree)})", options),
            re2.compile(f"(?{flags}:{_begun(begun)})\\z", options),
            None if rule.is_pattern else _step(rule.text.encode()),
        )
    except re2.error:
        raise _unsupported("RE2 does not take it", "write it shorter, with smaller repetitions") from None


def _step(literal: bytes) -> int:
    return next(step for step in range(1, len(literal) + 1) if literal.startswith(literal[step:]))


class _Reader:
    """Reads a pattern from left to right."""

    def __init__(self, text: str, at: int) -> None:
        self.text = text
        self.at = at
        self.depth = 0

    def all(self) -> _Node:
        tree = self.choice()
        if self.at < len(self.text):
            raise _unsupported("a bracket closes that was not opened", "write \\) for the character itself")
        return tree

    def choice(self) -> _Node:
        options = [self.row()]
        while self.text[self.at : self.at + 1] == "|":
            self.at += 1
            options.append(self.row())
        return options[0] if len(options) == 1 else _Choice(tuple(options))

    def row(self) -> _Node:
        parts: list[_Node] = []
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            parts.append(self.repeated(self.part()))
        return _Row(tuple(parts))

    def part(self) -> _Node:
        if found := self.take(_ONE):
            return _One(found[0])
        if found := self.take(_MARK):
            return _Mark(found[0])
        if not self.take(_OPENER):
            raise _unsupported(
                "something in it is not known",
                "known: characters, [classes], (groups), |, * + ? {2,3}, ^ $ \\b, (?i) at the beginning",
            )
        self.depth += 1
        if self.depth > _DEEPEST:
            raise _unsupported("its groups are too deep", f"at most {_DEEPEST} in each other")
        inner = self.choice()
        self.depth -= 1
        if self.text[self.at : self.at + 1] != ")":
            raise _unsupported("a bracket does not close", "write \\( for the character itself")
        self.at += 1
        return inner

    def repeated(self, inner: _Node) -> _Node:
        found = self.take(_REPEAT)
        if not found:
            return inner
        if isinstance(inner, _Mark) or _REPEAT.match(self.text, self.at):
            raise _unsupported("a repetition has nothing to repeat", "write \\* for the character itself")
        if found[1]:
            least, most = _BOUNDS[found[1]]
        else:
            least = int(found[2])
            most = least if not found[3] else int(found[4]) if found[4] else None
        return _Repeat(inner, least, most, found[0])

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.at)
        if found:
            self.at = found.end()
        return found


def _source(node: _Node) -> str:
    match node:
        case _One(source) | _Mark(source):
            return source
        case _Row(parts):
            return "".join(map(_source, parts))
        case _Choice(options):
            return f"(?:{'|'.join(map(_source, options))})"
        case _Repeat(inner, _, _, source):
            return f"(?:{_source(inner)}){source}"


def _begun(node: _Node) -> str:
    """What matches every beginning of what the node matches, the empty one and the whole included."""
    match node:
        case _One(source):
            return f"(?:{source})?"
        case _Mark():
            return ""  # what comes next decides
        case _Row(parts):
            return _begun_row(parts)
        case _Choice(options):
            return f"(?:{'|'.join(map(_begun, options))})"
        case _Repeat(inner, _, most, _):
            before = "*" if most is None else f"{{0,{max(most, 1) - 1}}}"
            return f"(?:{_source(inner)}){before}{_begun(inner)}"


def _begun_row(parts: tuple[_Node, ...]) -> str:
    if not parts:
        return ""
    first, rest = parts[0], _begun_row(parts[1:])
    if isinstance(first, _One):
        return f"(?:{first.source}{rest})?"
    return f"(?:{_begun(first)}|{_source(first)}{rest})"


def _least(node: _Node) -> int:
    """The fewest characters that a match can have."""
    match node:
        case _One():
            return 1
        case _Mark():
            return 0
        case _Row(parts):
            return sum(map(_least, parts))
        case _Choice(options):
            return min(map(_least, options))
        case _Repeat(inner, least, _, _):
            return least * _least(inner)


def _unsupported(message: str, hint: str) -> Misconfigured:
    return Misconfigured(f"this text cannot be masked: {message}", cause="unsupported-pattern", hint=hint)
