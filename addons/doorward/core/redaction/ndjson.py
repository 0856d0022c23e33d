"""Streams of JSON documents, one a line: newline-delimited JSON, watches of Kubernetes, JSON text sequences.

Each line is a document and goes through the same walk as any other; it keeps its line end, and in a
text sequence (RFC 7464) the record separators before it. Empty lines pass. A last line without an end
is a document too. A document over several lines is none here, and is withheld. Made by `stream`.
"""

import re
from collections.abc import Iterator

from doorward.core.redaction.framing import BodyMasks, Payloads, StreamRedactor, too_large
from doorward.core.redaction.masks import Replacer
from doorward.model import Mask

_SEPARATORS = re.compile(rb"\x1e*")
_SPACE = b" \t\r"


class JsonLines(StreamRedactor):
    """One such stream; at most one line is held."""

    def __init__(self, masks: BodyMasks, replacer: Replacer, limit: int, *, is_sequence: bool = False) -> None:
        self._payloads = Payloads(masks, replacer)
        self._limit = limit
        self._is_sequence = is_sequence
        self._held: list[bytes] = []  # the line so far
        self._size = 0

    @property
    def masks(self) -> tuple[Mask, ...]:
        """What was masked so far."""
        return self._payloads.masks

    def _fed(self, piece: bytes) -> Iterator[bytes]:
        *ended, rest = piece.split(b"\n")
        for line in ended:
            self._hold(line)
            yield self._line(b"\n")
        self._hold(rest)

    def _rest(self) -> Iterator[bytes]:
        yield self._line(b"")

    def _hold(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._limit:
            raise too_large(self._limit)
        if part:
            self._held.append(part)

    def _line(self, end: bytes) -> bytes:
        line = b"".join(self._held)
        self._held.clear()
        self._size = 0
        before = b""
        if self._is_sequence and (found := _SEPARATORS.match(line)):
            before, line = found[0], line[found.end() :]
        document = line.rstrip(_SPACE)
        if not document:
            return before + line + end
        return before + self._payloads.json(document) + line[len(document) :] + end
