"""Finds a target's secrets in what comes back, whatever the spelling.

Looked for: the bytes themselves; hex and base32 in either case; base64 at its three offsets, standard
and URL-safe; and all of these percent-encoded or JSON-escaped, wholly or in part, JSON within JSON
included, in UTF-16, as references of HTML, or wrapped into lines. A secret that is base64 of
`user:password`, as in `Basic`, is looked for undone as well. One pass of an automaton over a
lower-cased copy serves the everyday case; copies with something undone are made only where the bytes
hold such a thing.

`begun` and `uncut_before` serve who sees a body piece by piece (`echo_stream`).

Knows no masks and no rules: it is the last look at headers and bodies that are otherwise
cleared. Called by the gateway with the current and the last secret of one target, and by
`writeback` for the sentinel.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from doorward.core.redaction.beginnings import Beginnings
from doorward.core.redaction.disguises import Disguises
from doorward.core.redaction.search import Search
from doorward.core.redaction.spelling import Undoer, spelled
from doorward.errors import Misconfigured

MIN_SECRET = 16
_LONGEST_SPELLING = 6  # bytes that \uXXXX takes for one


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Bytes without the secrets. Where `complete` is false some could not be cut out: withhold."""

    data: bytes
    hits: int
    complete: bool


class EchoGuard:
    """Looks for some secrets; its repr shows none."""

    __slots__ = ("_beginnings", "_disguises", "_forms", "_hex", "_search", "_spelled", "_texts", "_undoer", "longest")

    longest: int  # bytes that one secret may take in its longest spelling, for who looks at chunks

    def __init__(self, secrets: Sequence[bytes]) -> None:
        """Raises Misconfigured for a secret of fewer than 16 bytes: it would be found everywhere."""
        if any(len(secret) < MIN_SECRET for secret in secrets):
            raise Misconfigured(
                f"a secret is shorter than {MIN_SECRET} bytes",
                cause="secret-too-short",
                hint="short secrets cannot be told from chance in an answer; let the target issue a longer one",
            )
        every = [each for secret in secrets for each in (secret, *_undone(secret))]
        self._texts = frozenset(text for secret in every for text in _encodings(secret))
        self._hex = frozenset(text for secret in every for text in _encodings_of_any_case(secret))
        self._forms = {text.lower() for text in self._texts} | self._hex
        self._search = Search(sorted(self._forms)) if self._forms else None
        self._beginnings = Beginnings(sorted(self._forms))
        self._undoer = Undoer(self._texts)
        self._disguises = Disguises(self._texts)
        self._spelled: re.Pattern[bytes] | None = None
        self.longest = _LONGEST_SPELLING * max(map(len, self._forms), default=0)

    def __repr__(self) -> str:
        return f"EchoGuard(<{len(self._forms)} forms>)"

    def found(self, data: bytes) -> bool:
        """Whether a secret stands in the bytes, in any spelling."""
        if self._stands_in(data) or any(map(self._stands_in, self._undoer.readings(data))):
            return True
        return any(
            self._stands_in(reading) or any(map(self._stands_in, self._undoer.readings(reading)))
            for reading in self._disguises.readings(data)
        )

    def found_in_headers(self, headers: Iterable[tuple[str, str]]) -> bool:
        """The same for names and values of headers."""
        return any(self.found(text.encode("utf-8", "surrogateescape")) for header in headers for text in header)

    def clean(self, data: bytes, replacement: bytes) -> Cleaned:
        """The bytes with every secret replaced that stands there in one layer of spelling."""
        if not self.found(data):
            return Cleaned(data, 0, complete=True)
        data, hits = _cut(data, self._spans(data), replacement)
        if not self.found(data):
            return Cleaned(data, hits, complete=True)
        data, more = self._any_spelling().subn(lambda _: replacement, data)
        return Cleaned(data, hits + more, complete=not self.found(data))

    def begun(self, data: bytes) -> int:
        """From where on the bytes may be the beginning of a secret, if more follow; their length if nowhere."""
        begun = len(data) - self._beginnings.at_end(data[-self._beginnings.longest :].lower())
        if b"\\" in data or b"%" in data:
            readings = list(self._undoer.traced(data))
            for reading in readings:
                size = len(reading.text)
                tail = reading.text[max(0, size - self._beginnings.longest) :].lower()
                begun = min(begun, reading.place(size - self._beginnings.at_end(tail)))
                if reading.begun is not None:
                    begun = min(begun, reading.begun)
            for reading in reversed(readings):
                begun = reading.around(begun)
        return begun

    def uncut_before(self, data: bytes, at: int) -> int:
        """The last place up to `at` at which a cut goes through no secret that `clean` can take out."""
        spans = [*self._spans(data), *(found.span() for found in self._any_spelling().finditer(data))]
        for start, end in sorted(spans, reverse=True):
            if start < at < end:
                at = start
        return at

    def _any_spelling(self) -> re.Pattern[bytes]:
        """A pattern for all secrets in one layer of spelling; made when first asked for."""
        if self._spelled is None:
            patterns = [spelled(text) for text in sorted(self._texts, key=len, reverse=True)]
            patterns += [spelled(text, any_case=True) for text in sorted(self._hex)]
            self._spelled = re.compile(b"|".join(patterns))
        return self._spelled

    def _stands_in(self, data: bytes) -> bool:
        return next(self._spans(data), None) is not None

    def _spans(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Where a form stands as it is. Searched in lower case, which holds for hex and is checked for the rest."""
        if self._search is None:
            return
        for matches in self._search.matches(data.lower()):
            for index, start, end in matches:
                if self._search.needles[index] in self._hex or data[start:end] in self._texts:
                    yield start, end


def _cut(data: bytes, spans: Iterable[tuple[int, int]], replacement: bytes) -> tuple[bytes, int]:
    pieces: list[bytes] = []
    done = hits = 0
    for start, end in sorted(spans):
        if start >= done:
            pieces += (data[done:start], replacement)
            hits += 1
        done = max(done, end)
    return b"".join((*pieces, data[done:])), hits


def _undone(secret: bytes) -> Iterator[bytes]:
    """What a secret that is base64 of `user:password` says (RFC 7617), where that is long enough to look for."""
    try:
        plain = base64.b64decode(secret, validate=True)
    except ValueError:
        return
    _, colon, password = plain.partition(b":")
    if colon:
        yield from (each for each in (plain, password) if len(each) >= MIN_SECRET)


def _encodings(secret: bytes) -> Iterator[bytes]:
    yield secret
    yield secret.replace(b" ", b"+")
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + secret)
        # The characters that no neighbouring byte has a part in.
        inner = encoded[(offset * 8 + 5) // 6 : (offset + len(secret)) * 8 // 6]
        yield inner
        yield inner.translate(bytes.maketrans(b"+/", b"-_"))


def _encodings_of_any_case(secret: bytes) -> Iterator[bytes]:
    yield secret.hex().encode()
    for offset in range(5):
        encoded = base64.b32encode(bytes(offset) + secret).lower()
        yield encoded[(offset * 8 + 4) // 5 : (offset + len(secret)) * 8 // 5]
