"""Which stream is masked event by event: picked by the media type of the answer.

Newline-delimited JSON, watches of Kubernetes, JSON text sequences, server-sent events; and text, where
masks say what is to be hidden in text and none names fields (an answer that is one JSON document under
the label of text can only be told from text when it is there as a whole). Whatever else is read whole.

Called by whoever has an answer's pieces, and by `core.clearing` for bodies of these types.
"""

import re
from collections.abc import Iterator

from doorward.core.redaction.content import MediaType, media_type
from doorward.core.redaction.framing import BodyMasks, StreamRedactor
from doorward.core.redaction.masks import Replacer
from doorward.core.redaction.ndjson import JsonLines
from doorward.core.redaction.sse import Events
from doorward.core.redaction.text import TextMasking
from doorward.model import Mask

_LINES = frozenset({
    "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonl", "application/jsonlines",
    "application/x-jsonlines", "application/x-json-stream", "application/stream+json", "text/x-ndjson",
})  # fmt: skip
_SEQUENCES = frozenset({"application/json-seq", "application/geo+json-seq"})
_EVENTS = "text/event-stream"
_WATCH = re.compile(r";\s*stream\s*=\s*\"?watch\"?\s*(?:;|$)", re.IGNORECASE)  # as Kubernetes marks a stream


def events_for(content_type: str | None, masks: BodyMasks, replacer: Replacer, limit: int) -> StreamRedactor | None:
    """What masks a stream of events of this type; None for another type. `limit`: bytes of one event."""
    media = media_type(content_type)
    if not media.is_utf8:
        return None
    if media.essence == _EVENTS:
        return Events(masks, replacer, limit)
    if media.essence in _LINES or (media.essence == "application/json" and _WATCH.search(content_type or "")):
        return JsonLines(masks, replacer, limit)
    if media.essence in _SEQUENCES:
        return JsonLines(masks, replacer, limit, is_sequence=True)
    return None


def framer_for(content_type: str | None, masks: BodyMasks, replacer: Replacer, limit: int) -> StreamRedactor | None:
    """What masks an answer of this type while it comes; None where it has to be read whole."""
    events = events_for(content_type, masks, replacer, limit)
    if events is not None:
        return events
    return Text(masks, replacer) if _is_text(media_type(content_type), masks) else None


def _is_text(media: MediaType, masks: BodyMasks) -> bool:
    return media.is_text and media.is_utf8 and not media.is_json and masks.text_passes and not masks.fields.paths


class Text(StreamRedactor):
    """A text without events."""

    def __init__(self, masks: BodyMasks, replacer: Replacer) -> None:
        self._text = TextMasking(masks.texts, replacer)

    @property
    def masks(self) -> tuple[Mask, ...]:
        """What was masked so far."""
        return self._text.masks

    def _fed(self, piece: bytes) -> Iterator[bytes]:
        yield self._text.feed(piece)

    def _rest(self) -> Iterator[bytes]:
        yield self._text.end()
