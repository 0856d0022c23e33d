"""Cuts large containers into runs of children, each small enough to be opened by one call.

A body of 48 MB cannot be read by one call of the parser without stopping everything else for
as long. Here the parser is put to windows of it instead. There is no grammar of JSON in this
file: where a value ends is what the parser itself reports ("trailing characters"), and a run
of several children is one only if the parser takes it, in brackets, for a whole container: the
comma behind such a run then stands between two children, for a parser that has read the
same bytes is in the same state. Whatever else the parser says is taken as "does not fit into
this window", which ends in an error once the window reaches the end of the body.

Every byte of the document is checked by the parser here; UTF-8 is checked by `document`.
Called by `document` for bodies above a size; what comes out is walked by `large`.
"""

import re
from dataclasses import dataclass, field

import msgspec
from msgspec import Raw

from doorward.core.redaction.steps import Steps

_ENOUGH = 256 << 10  # bytes that are cut in one step
_MANY = 256  # children that are cut singly in one step
_MOST = 2048  # children that are handled together, about
_LONGEST_HINT = 64
_MIN_WINDOW = 64
_DEEPEST = 512  # of large containers in each other

_TRAILING = re.compile(r"JSON is malformed: trailing characters \(byte ([0-9]+)\)")
_SPACE = re.compile(rb"[ \t\r\n]*")
_CLOSER = {ord("{"): ord("}"), ord("["): ord("]")}
_COMMA, _COLON, _OBJECT, _QUOTE = b',:{"'

_skip = msgspec.json.Decoder(Raw).decode
_string = msgspec.json.Decoder(str).decode


class NotCut(Exception):
    """The bytes are no JSON, or too deep; the cause says which."""

    def __init__(self, cause: str = "not-json") -> None:
        super().__init__(cause)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Sizes:
    """What is large, and how much of it is handled at once; tests make these small."""

    large: int = 32 << 10  # bytes up to which a container is opened by one call
    run: int = 16 << 10  # bytes of children that are handled together


@dataclass(frozen=True, slots=True)
class Run:
    """Some whole children of a container in a row, with the commas between them, by their place in the body."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Nested:
    """A child that is large itself; in an object with its key."""

    key: str | None
    value: "Large"


@dataclass(slots=True)
class Large:
    """A container that is not opened by one call; `parts` are its children in order."""

    start: int
    is_object: bool
    end: int = 0  # behind its closing bracket
    parts: list[Run | Nested] = field(default_factory=list)


def cut(body: bytes, sizes: Sizes) -> Steps[Large | None]:
    """The body's one container, cut; None if the body is small or no container. Raises NotCut."""
    cutter = _Cutter(body, sizes)
    start = yield from cutter.skip_space(0)
    if len(body) - start <= sizes.large or body[start] not in _CLOSER:
        return None
    try:
        return (yield from cutter.run(start))
    except RecursionError:
        raise NotCut("too-deep") from None


@dataclass(slots=True)
class _Open:
    """A large container that is being cut."""

    node: Large
    closer: int
    is_empty: bool = True  # so far
    run_start: int | None = None
    run_end: int = 0
    single: int = 0  # bytes of the last child that was cut singly
    hint: bytes = b""  # what stood round the last comma between children
    hint_comma: int = 0  # where in it
    wait: int = 0  # children to cut singly before another try at several
    patience: int = 1

    def flush(self) -> None:
        if self.run_start is not None:
            self.node.parts.append(Run(self.run_start, self.run_end))
            self.run_start = None


class _Cutter:
    def __init__(self, body: bytes, sizes: Sizes) -> None:
        self.body = body
        self.view = memoryview(body)
        self.sizes = sizes

    def run(self, start: int) -> Steps[Large]:
        stack = [self.opened(start)]
        at = start + 1
        done, count = at, 0
        while True:
            count += 1
            if at - done > _ENOUGH or count > _MANY:
                done, count = at, 0
                yield
            top = stack[-1]
            at = yield from self.skip_space(at)
            if top.is_empty and self.byte(at) == top.closer:
                behind = at
            else:
                top.is_empty = False
                child = yield from self.child(top, at)
                if isinstance(child, Nested):
                    top.flush()
                    top.node.parts.append(child)
                    if len(stack) >= _DEEPEST:
                        raise NotCut("too-deep")
                    stack.append(_Open(child.value, _CLOSER[self.body[child.value.start]]))
                    at = child.value.start + 1
                    continue
                behind = child
            while self.byte(behind) == top.closer:
                top.flush()
                top.node.end = behind + 1
                behind = yield from self.skip_space(behind + 1)
                stack.pop()
                if not stack:
                    if behind < len(self.body):
                        raise NotCut
                    return top.node
                top = stack[-1]
            if self.byte(behind) != _COMMA:
                raise NotCut
            at = behind + 1

    def opened(self, start: int) -> _Open:
        first = self.body[start]
        return _Open(Large(start, first == _OBJECT), _CLOSER[first])

    def child(self, top: _Open, at: int) -> Steps[int | Nested]:
        """Cut one child or several; what stands behind them, or the one child if it is large."""
        behind = self.several(top, at)
        if behind is None:
            key, value = (yield from self.key(at)) if top.node.is_object else (None, at)
            behind = self.behind(value, self.sizes.large)
            if behind is None:
                value = yield from self.skip_space(value)
                if self.byte(value) in _CLOSER:
                    return Nested(key, Large(value, self.body[value] == _OBJECT))
                behind = yield from self.behind_scalar(value)
            top.single = behind - at
            self.learn(top, at, behind)
        if top.run_start is None:
            top.run_start = at
        top.run_end = behind
        if behind - top.run_start >= self.most(top):
            top.flush()
        return behind

    def several(self, top: _Open, at: int) -> int | None:
        """What stands behind several children that were cut at once, if that worked."""
        if not top.hint or top.wait:
            top.wait = max(0, top.wait - 1)
            return None
        opener, closer = (b"{", b"}") if top.node.is_object else (b"[", b"]")
        window = self.most(top)
        while window >= _MIN_WINDOW and window > 2 * top.single:
            found = self.body.rfind(top.hint, at, at + window)
            if found > at:
                comma = found + top.hint_comma
                try:
                    _skip(b"".join((opener, self.view[at:comma], closer)))
                except msgspec.DecodeError:
                    pass
                else:
                    top.patience = 1
                    return comma
            window //= 2
        top.wait = top.patience = min(top.patience * 2, 1024)
        return None

    def most(self, top: _Open) -> int:
        """The bytes of children that make a run, as far as the last one tells how long they are."""
        return min(self.sizes.run, max(top.single * _MOST, _MIN_WINDOW))

    def learn(self, top: _Open, at: int, behind: int) -> None:
        """Keep what stands round the comma behind this child, to find others like it."""
        if self.byte(behind) != _COMMA:
            return
        before = self.body[behind - 2 : behind]
        before = before[len(before.rstrip(b'}]"')) :]
        found = _SPACE.match(self.body, behind + 1, behind + _LONGEST_HINT)
        head = found.end() if found else behind + 1
        first = self.body[head : head + 1]
        after = b""
        if top.node.is_object or first == b'"' or first == b"[":
            after = first
        elif first == b"{":
            name_ends = self.body.find(b'":', head, head + _LONGEST_HINT)
            after = self.body[head : name_ends + 2] if name_ends > 0 else first
        top.hint = before + self.body[behind:head] + after
        top.hint_comma = len(before)

    def key(self, at: int) -> Steps[tuple[str, int]]:
        """The key of a member, and where its value begins."""
        if self.byte(at) != _QUOTE:
            raise NotCut
        behind = yield from self.behind_scalar(at)
        if self.byte(behind) != _COLON:
            raise NotCut
        return _string(self.view[at:behind]), behind + 1

    def behind_scalar(self, at: int) -> Steps[int]:
        """What stands behind a string, a number or a word, however long."""
        window = max(self.sizes.large, _MIN_WINDOW)
        while True:
            behind = self.behind(at, window)
            if behind is not None:
                return behind
            window *= 4
            yield

    def behind(self, at: int, window: int) -> int | None:
        """Where the next byte stands behind the value here and its space; None if the window does not show it."""
        end = at + window
        try:
            _skip(self.view[at:end])
        except msgspec.DecodeError as error:
            if found := _TRAILING.fullmatch(str(error)):
                return at + int(found[1]) - 1
        # It was cut off, it may go on behind the window as a number does, or it is no JSON.
        if end >= len(self.body):
            raise NotCut
        return None

    def skip_space(self, at: int) -> Steps[int]:
        """The next place that is no space."""
        while True:
            found = _SPACE.match(self.body, at, at + _ENOUGH)
            end = found.end() if found else at
            if end < at + _ENOUGH:
                return end
            at = end
            yield

    def byte(self, at: int) -> int:
        """The byte here; 0 behind the end, which is no byte of JSON."""
        return self.body[at] if at < len(self.body) else 0
