from collections.abc import Iterator

import pytest

from doorward.core.redaction.framing import BodyMasks, Payloads, StreamRedactor, too_large
from doorward.core.redaction.patterns import TextRule, compile_texts
from doorward.core.redaction.rules import compile_rules
from doorward.core.redaction.tally import MAX_FIELDS
from doorward.errors import Withheld
from doorward.model import Mask
from tests.core.redaction.reference import REPLACER, rules

S = REPLACER.sentinel


def body_masks(
    *pairs: tuple[str, str], texts: tuple[str, ...] = (), text_passes: bool = False, others_pass: bool = False
) -> BodyMasks:
    compiled = compile_texts([TextRule("t", text, is_pattern=False) for text in texts])
    return BodyMasks(compile_rules(rules(*pairs)), compiled, text_passes or others_pass, others_pass)


EMAIL = ("$..email", "sentinel")


class Echo(StreamRedactor):
    """Gives back lines; a line `bad` cannot be cleared."""

    masks = ()

    def _fed(self, piece: bytes) -> Iterator[bytes]:
        for line in piece.split(b"\n"):
            if line == b"bad":
                raise too_large(1)
            yield line

    def _rest(self) -> Iterator[bytes]:
        yield b""
        yield b"end"


def test_nothing_empty_leaves() -> None:
    stream = Echo()
    assert stream.feed(b"a\n\nb") == [b"a", b"b"]
    assert stream.feed(b"") == []
    assert stream.end() == [b"end"]


def test_what_stood_before_an_error_leaves_and_nothing_after_it() -> None:
    stream = Echo()
    assert stream.feed(b"a\nbad\nb") == [b"a"]
    assert stream.failed is not None
    with pytest.raises(Withheld) as caught:
        stream.feed(b"c")
    assert caught.value.cause == "event-too-large"
    with pytest.raises(Withheld):
        stream.end()


def test_an_error_alone_comes_at_once() -> None:
    with pytest.raises(Withheld):
        Echo().feed(b"bad\nb")


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"", b""),
        (b"[DONE]", b"[DONE]"),
        (b" [DONE]\n", b" [DONE]\n"),
        (b'{"email":1}', f'{{"email":"{S}"}}'.encode()),
        (b' [{"email":1}]', f'[{{"email":"{S}"}}]'.encode()),
        (b"[]", b"[]"),
    ],
)
def test_payloads_that_every_mask_clears(payload: bytes, expected: bytes) -> None:
    assert Payloads(body_masks(EMAIL), REPLACER).json_or_text(payload) == expected


@pytest.mark.parametrize("payload", [b"hello", b'"ann"', b"17", b"[INFO] hello", b"[DONE]x"])
def test_other_payloads_are_masked_or_passed_or_withheld(payload: bytes) -> None:
    with pytest.raises(Withheld) as caught:
        Payloads(body_masks(EMAIL), REPLACER).json_or_text(payload)
    assert caught.value.cause == "not-json"
    assert Payloads(body_masks(EMAIL, others_pass=True), REPLACER).json_or_text(payload) == payload
    texts = body_masks(EMAIL, texts=("hello", "ann"), text_passes=True)
    masked = Payloads(texts, REPLACER).json_or_text(payload)
    assert masked == payload.replace(b"hello", S.encode()).replace(b"ann", S.encode())
    with pytest.raises(Withheld):
        Payloads(BodyMasks(texts.fields, texts.texts), REPLACER).json_or_text(payload)


@pytest.mark.parametrize(
    "payload",
    [b'{"email":1', b"{email:1}", b'[{"email":1},]', b'\xef\xbb\xbf{"email":1}', b'[ "a", ', b"[", b"[true", b"\n{"],
)
def test_what_looks_like_json_is_json_or_withheld(payload: bytes) -> None:
    masks = body_masks(EMAIL, texts=("x",), others_pass=True)
    with pytest.raises(Withheld):
        Payloads(masks, REPLACER).json_or_text(payload)


def test_masks_are_counted_over_all_events_and_bounded() -> None:
    payloads = Payloads(body_masks(EMAIL, texts=("x",), text_passes=True), REPLACER)
    for _ in range(3):
        payloads.json(b'{"email":1}')
    payloads.json_or_text(b"x x")
    assert payloads.masks == (Mask("rule 0", "$['email']", "sentinel", 3), Mask("t", "text", "sentinel", 2))
    for number in range(MAX_FIELDS + 5):
        payloads.json(b'{"f%d":{"email":1}}' % number)
    assert len(payloads.masks) == MAX_FIELDS + 1
    assert payloads.masks[-1] == Mask("rule 0", "$..*", "sentinel", 7)
