"""What may leave of one message: the mask rules of a policy, compiled once, put to bodies, heads and queries.

Joins the redaction engine with the policy's words (`apply_to`, `other_types`, `texts`). JSON is masked by
fields, anything else by texts; streams of events that are there as a whole are masked as streams. Knows no
flow and no entry: `gateway.redact` calls it for answers and for what the record may hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from doorward.core.policy import MaskRule
from doorward.core.redaction.content import check_charset, may_be_json, media_type
from doorward.core.redaction.document import Unreadable, read_in_steps
from doorward.core.redaction.framing import BodyMasks, StreamRedactor
from doorward.core.redaction.masks import Replacement, Replacer
from doorward.core.redaction.names import is_secret_name, mask_headers, mask_query
from doorward.core.redaction.patterns import TextRule, compile_texts
from doorward.core.redaction.rules import FieldRule, compile_rules
from doorward.core.redaction.steps import Steps, finish
from doorward.core.redaction.stream import events_for
from doorward.core.redaction.text import mask_text
from doorward.core.redaction.walk import Redacted, RedactedPieces, redact_document, unreadable
from doorward.errors import Withheld

type Headers = Sequence[tuple[str, str]]

NOT_RECORDED = b"[not recorded: a mask applies, and this is not JSON]"
_PIECE = 64 << 10  # bytes of a stream that are masked in one step


@dataclass(frozen=True, slots=True)
class MaskSet:
    """The masks of one exchange, ready to be put to messages."""

    answer: BodyMasks | None  # for what the agent gets; None where no mask says anything about bodies
    record: BodyMasks | None  # for what the record holds: those of the answer and `apply_to: record`
    record_hides_more: bool  # some mask of bodies is for the record alone
    answer_headers: frozenset[str]  # lower case, here and below
    record_headers: frozenset[str]
    query: frozenset[str]  # of requests, in the record


def compile_masks(rules: Sequence[MaskRule]) -> MaskSet:
    """Compile the rules that apply to an exchange; raises Misconfigured for what is not supported."""
    seen = [rule for rule in rules if rule.apply_to == "all"]  # by the agent
    return MaskSet(
        answer=_body_masks(seen),
        record=_body_masks(rules),
        record_hides_more=any(rule.masks_bodies and rule.apply_to == "record" for rule in rules),
        answer_headers=_headers(seen),
        record_headers=_headers(rules),
        query=frozenset(name for rule in rules for name in rule.query),
    )


def _headers(rules: Sequence[MaskRule]) -> frozenset[str]:
    return frozenset(name.lower() for rule in rules for name in rule.headers)


def _body_masks(rules: Sequence[MaskRule]) -> BodyMasks | None:
    rules = [rule for rule in rules if rule.masks_bodies]
    if not rules:
        return None
    fields = [FieldRule(rule.name, path, Replacement(rule.replace_with)) for rule in rules for path in rule.fields]
    texts = [
        TextRule(rule.name, each.text, each.is_pattern, Replacement(rule.replace_with))
        for rule in rules
        for each in rule.texts
    ]
    return BodyMasks(
        compile_rules(fields),
        compile_texts(texts),
        text_passes=bool(texts) and all(rule.texts or rule.other_types == "pass" for rule in rules),
        others_pass=all(rule.other_types == "pass" for rule in rules),
    )


def clear_body(masks: MaskSet, body: bytes, content_type: str | None, replacer: Replacer) -> Redacted:
    """The body that the agent may get; raises Withheld where a mask applies and it cannot be read."""
    return finish(clear_in_steps(masks.answer, body, content_type, replacer)).joined()


def record_body(masks: MaskSet, body: bytes, content_type: str | None, replacer: Replacer) -> bytes:
    """The body that the record may hold; a stand-in where a mask applies and it cannot be read."""
    return b"".join(finish(record_in_steps(masks.record, body, content_type, replacer)))


def clear_in_steps(
    masks: BodyMasks | None, body: bytes, content_type: str | None, replacer: Replacer
) -> Steps[RedactedPieces]:
    """What `clear_body` does, giving control back every few milliseconds, whatever the size of the body."""
    if masks is None or not body:
        return RedactedPieces((body,), ())
    events = events_for(content_type, masks, replacer, len(body))
    if events is not None:
        return (yield from _stream(events, body))
    media = media_type(content_type)
    if media.is_json or may_be_json(body):
        try:
            document = yield from read_in_steps(body)
        except Unreadable as error:
            if media.is_json:
                check_charset(media)
                raise unreadable(error) from None
        else:
            check_charset(media)
            redacted = yield from redact_document(masks.fields, document, replacer)
            if media.is_json or not masks.texts:
                return redacted
            text = yield from mask_text(masks.texts, redacted.joined().body, replacer)
            return RedactedPieces(text.pieces, redacted.masks + text.masks)
    if masks.texts and masks.text_passes:
        try:
            check_charset(media)
            text = yield from mask_text(masks.texts, body, replacer)
        except Withheld:
            if not masks.others_pass:
                raise
        else:
            return RedactedPieces(text.pieces, text.masks)
    if masks.others_pass:
        return RedactedPieces((body,), ())
    raise Withheld(
        "a mask applies to this answer, and it is not JSON",
        cause="not-json",
        hint="ask for JSON; the operator may add `texts` to the mask, or set other_types: pass",
    )


def record_in_steps(
    masks: BodyMasks | None, body: bytes, content_type: str | None, replacer: Replacer
) -> Steps[tuple[bytes, ...]]:
    """What `record_body` does, in steps and in pieces."""
    try:
        return (yield from clear_in_steps(masks, body, content_type, replacer)).pieces
    except Withheld:
        return (NOT_RECORDED,)


def _stream(events: StreamRedactor, body: bytes) -> Steps[RedactedPieces]:
    pieces: list[bytes] = []
    for at in range(0, len(body), _PIECE):
        pieces += events.feed(body[at : at + _PIECE])
        yield
    pieces += events.end()
    return RedactedPieces(tuple(pieces), events.masks)


def record_headers(masks: MaskSet, headers: Headers, replacer: Replacer) -> list[tuple[str, str]]:
    """Headers for the record: those that masks list, and all that bear secrets, replaced."""
    secret = {name.lower() for name, _ in headers if is_secret_name(name)}
    return mask_headers(headers, masks.record_headers | secret, replacer)


def record_query(masks: MaskSet, raw_query: str, names: Sequence[str], replacer: Replacer) -> str:
    """The query for the record, `names` being the decoded keys that stand in it."""
    secret = {name for name in names if is_secret_name(name)}
    return mask_query(raw_query, masks.query | secret, replacer)
