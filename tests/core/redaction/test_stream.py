import pytest

from doorward.core.redaction.ndjson import JsonLines
from doorward.core.redaction.sse import Events
from doorward.core.redaction.stream import Text, events_for, framer_for
from doorward.model import Mask
from tests.core.redaction.reference import REPLACER
from tests.core.redaction.test_framing import EMAIL, body_masks

S = REPLACER.sentinel
FIELDS = body_masks(EMAIL)
TEXTS = body_masks(texts=("secret",), text_passes=True)


@pytest.mark.parametrize(
    ("content_type", "framer"),
    [
        ("text/event-stream", Events),
        ("Text/Event-Stream; charset=UTF-8", Events),
        ("application/x-ndjson", JsonLines),
        ("application/jsonl; charset=utf-8", JsonLines),
        ("application/stream+json", JsonLines),
        ("application/json;stream=watch", JsonLines),
        ('application/json; charset=utf-8; stream="watch"', JsonLines),
        ("application/json-seq", JsonLines),
        ("application/json", None),
        ("application/json; stream=watching", None),
        ("application/vnd.kubernetes.protobuf;stream=watch", None),
        ("text/event-stream; charset=utf-16", None),
        ("text/plain", None),
        ("", None),
        (None, None),
    ],
)
def test_what_masks_a_stream_of_a_type(content_type: str | None, framer: type | None) -> None:
    for made in (framer_for(content_type, FIELDS, REPLACER, 100), events_for(content_type, FIELDS, REPLACER, 100)):
        assert made is None if framer is None else type(made) is framer


@pytest.mark.parametrize("content_type", ["text/plain", "text/html; charset=utf-8", "application/xml"])
def test_text_streams_where_texts_are_masked_and_no_fields(content_type: str) -> None:
    assert isinstance(framer_for(content_type, TEXTS, REPLACER, 100), Text)
    assert events_for(content_type, TEXTS, REPLACER, 100) is None
    both = body_masks(EMAIL, texts=("secret",), text_passes=True)
    assert framer_for(content_type, both, REPLACER, 100) is None
    for other in ("application/json", "application/octet-stream", "text/plain; charset=latin-1", None):
        assert framer_for(other, TEXTS, REPLACER, 100) is None


def test_a_text_leaves_as_it_comes() -> None:
    stream = framer_for("text/plain", TEXTS, REPLACER, 100)
    assert stream is not None
    assert stream.feed(b"a sec") == [b"a "]
    assert stream.feed(b"re") == []
    assert stream.feed(b"t, b") == [f"{S}, b".encode()]
    assert stream.feed(b" se") == [b" "]
    assert stream.end() == [b"se"]
    assert stream.masks == (Mask("t", "text", "sentinel", 1),)


def test_the_separators_of_a_sequence_are_known() -> None:
    stream = framer_for("application/json-seq", FIELDS, REPLACER, 100)
    assert stream is not None
    assert stream.feed(b'\x1e{"email":1}\n') == [f'\x1e{{"email":"{S}"}}\n'.encode()]
