"""What every stream that is masked event by event has in common.

`StreamRedactor` is what a stream looks like to whoever has its pieces; `BodyMasks` are the masks
of one side of an exchange; `Payloads` clears what stands inside of an event. How a stream is cut
into events is said by `ndjson` and `sse`, and which of them it is by `stream`.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from doorward.core.redaction.automaton import Automaton
from doorward.core.redaction.masks import Replacer
from doorward.core.redaction.patterns import CompiledText
from doorward.core.redaction.tally import MAX_FIELDS
from doorward.core.redaction.text import TextMasking
from doorward.core.redaction.walk import redact_json
from doorward.errors import Withheld
from doorward.model import Mask

_ELSEWHERE = "$..*"  # past a number of different fields


@dataclass(frozen=True, slots=True)
class BodyMasks:
    """The masks of bodies, for the answer or for the record."""

    fields: Automaton  # for JSON
    texts: tuple[CompiledText, ...] = ()  # for anything else
    text_passes: bool = False  # every mask says what is to be hidden in text, or lets it pass
    others_pass: bool = False  # every mask lets pass what is not JSON


class StreamRedactor(ABC):
    """A stream on its way: `feed` each piece, `end` once. What comes back is never empty bytes.

    What stood before an event that cannot be cleared still leaves; the error comes with the call in
    which nothing else leaves, and with every call after it. `failed` has it at once.
    """

    failed: Withheld | None = None

    def feed(self, piece: bytes) -> list[bytes]:
        """What may leave now; raises Withheld where nothing more may."""
        return self._cleared(self._fed(piece))

    def end(self) -> list[bytes]:
        """What may leave once nothing more comes; raises Withheld."""
        return self._cleared(self._rest())

    @property
    @abstractmethod
    def masks(self) -> tuple[Mask, ...]:
        """What was masked so far."""

    @abstractmethod
    def _fed(self, piece: bytes) -> Iterator[bytes]:
        """What a piece makes complete, cleared."""

    @abstractmethod
    def _rest(self) -> Iterator[bytes]:
        """What the end makes complete, cleared."""

    def _cleared(self, events: Iterator[bytes]) -> list[bytes]:
        if self.failed is not None:
            raise self.failed
        leaving: list[bytes] = []
        try:
            leaving.extend(event for event in events if event)
        except Withheld as error:
            self.failed = error
            if not leaving:
                raise
        return leaving


class Payloads:
    """Clears what stands in the events of one stream, and counts what was masked."""

    __slots__ = ("_counts", "_masks", "_replacer")

    def __init__(self, masks: BodyMasks, replacer: Replacer) -> None:
        self._masks = masks
        self._replacer = replacer
        self._counts: dict[tuple[str, str, str], int] = {}

    @property
    def masks(self) -> tuple[Mask, ...]:
        """What was masked so far."""
        return tuple(Mask(*key, count) for key, count in self._counts.items())

    def json(self, document: bytes) -> bytes:
        """One JSON document; raises Withheld for anything else."""
        redacted = redact_json(self._masks.fields, document, self._replacer)
        self._note(redacted.masks)
        return redacted.body

    def text(self, text: bytes) -> bytes | None:
        """A text that is no JSON; None where it may not leave."""
        if self._masks.texts and self._masks.text_passes:
            masking = TextMasking(self._masks.texts, self._replacer)
            masked = masking.feed(text) + masking.end()
            self._note(masking.masks)
            return masked
        return text if self._masks.others_pass else None

    def json_or_text(self, payload: bytes) -> bytes:
        """A payload of whatever kind. What looks like JSON is JSON, or it is withheld."""
        if _IS_EMPTY.fullmatch(payload):
            return payload
        if _LOOKS_LIKE_JSON.match(payload):
            return self.json(payload)
        masked = self.text(payload)
        if masked is None:
            raise Withheld(
                "a mask applies to this stream, and an event of it is not JSON",
                cause="not-json",
                hint="the operator may add `texts` to the mask, or set other_types: pass",
            )
        return masked

    def _note(self, masks: tuple[Mask, ...]) -> None:
        for mask in masks:
            key = (mask.rule, mask.path, mask.replacement)
            if key not in self._counts and len(self._counts) >= MAX_FIELDS:
                key = (mask.rule, _ELSEWHERE, mask.replacement)
            self._counts[key] = self._counts.get(key, 0) + mask.count


def too_large(limit: int) -> Withheld:
    """The error for an event that does not end."""
    return Withheld(
        "an event of the stream is too large to be masked",
        cause="event-too-large",
        hint=f"at most {limit} bytes; the operator may raise limits.stream_event",
    )


# `[DONE]` ends the streams of several models' APIs, and says nothing.
_IS_EMPTY = re.compile(rb"[ \t\n]*(?:\[DONE\])?[ \t\n]*")
_LOOKS_LIKE_JSON = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\n]*(?:\{|\[[ \t\n]*(?:[\[\]{\"0-9-]|true|false|null|\Z))")
