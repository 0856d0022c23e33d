"""What may leave of one message: the mask rules of a policy, compiled once, put to bodies, heads and queries.

Joins the redaction engine with the policy's words (`apply_to`, `other_types`). Knows no flow
and no entry: `gateway.redact` calls it for answers and for what the record may hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from doorward.core.policy import MaskRule
from doorward.core.redaction.automaton import Automaton
from doorward.core.redaction.content import is_json
from doorward.core.redaction.masks import Replacement, Replacer
from doorward.core.redaction.names import is_secret_name, mask_headers, mask_query
from doorward.core.redaction.rules import FieldRule, compile_rules
from doorward.core.redaction.walk import Redacted, redact_json
from doorward.errors import Withheld

type Headers = Sequence[tuple[str, str]]

NOT_RECORDED = b"[not recorded: a mask applies, and this is not JSON]"


@dataclass(frozen=True, slots=True)
class MaskSet:
    """The masks of one exchange, ready to be put to messages."""

    answer: Automaton | None  # for what the agent gets; None where no field is named
    record: Automaton | None  # for what the record holds: those of the answer and `apply_to: record`
    record_hides_more: bool  # some mask of a field is for the record alone
    answer_passes: bool  # each mask in `answer` lets bodies pass that are not JSON
    record_passes: bool  # the same of `record`
    answer_headers: frozenset[str]  # lower case, here and below
    record_headers: frozenset[str]
    query: frozenset[str]  # of requests, in the record


def compile_masks(rules: Sequence[MaskRule]) -> MaskSet:
    """Compile the rules that apply to an exchange; raises Misconfigured for a path that is not supported."""
    seen = [rule for rule in rules if rule.apply_to == "all"]  # by the agent
    return MaskSet(
        answer=_automaton(seen),
        record=_automaton(rules),
        record_hides_more=any(rule.fields and rule.apply_to == "record" for rule in rules),
        answer_passes=_lets_pass(seen),
        record_passes=_lets_pass(rules),
        answer_headers=_headers(seen),
        record_headers=_headers(rules),
        query=frozenset(name for rule in rules for name in rule.query),
    )


def _lets_pass(rules: Sequence[MaskRule]) -> bool:
    return all(rule.other_types == "pass" for rule in rules if rule.fields)


def _headers(rules: Sequence[MaskRule]) -> frozenset[str]:
    return frozenset(name.lower() for rule in rules for name in rule.headers)


def _automaton(rules: Sequence[MaskRule]) -> Automaton | None:
    fields = [FieldRule(rule.name, path, Replacement(rule.replace_with)) for rule in rules for path in rule.fields]
    return compile_rules(fields) if fields else None


def clear_body(masks: MaskSet, body: bytes, content_type: str | None, replacer: Replacer) -> Redacted:
    """The body that the agent may get; raises Withheld where a mask applies and it cannot be read."""
    if masks.answer is None or not body:
        return Redacted(body, ())
    if not is_json(content_type, body):
        if masks.answer_passes:
            return Redacted(body, ())
        raise Withheld(
            "a mask applies to this answer, and it is not JSON",
            cause="not-json",
            hint="ask for JSON; the operator may set other_types: pass on the mask",
        )
    return redact_json(masks.answer, body, replacer)


def record_body(masks: MaskSet, body: bytes, content_type: str | None, replacer: Replacer) -> bytes:
    """The body that the record may hold; a stand-in where a mask applies and it cannot be read."""
    if masks.record is None or not body:
        return body
    try:
        if is_json(content_type, body):
            return redact_json(masks.record, body, replacer).body
    except Withheld:
        return NOT_RECORDED
    return body if masks.record_passes else NOT_RECORDED


def record_headers(masks: MaskSet, headers: Headers, replacer: Replacer) -> list[tuple[str, str]]:
    """Headers for the record: those that masks list, and all that bear secrets, replaced."""
    secret = {name.lower() for name, _ in headers if is_secret_name(name)}
    return mask_headers(headers, masks.record_headers | secret, replacer)


def record_query(masks: MaskSet, raw_query: str, names: Sequence[str], replacer: Replacer) -> str:
    """The query for the record, `names` being the decoded keys that stand in it."""
    secret = {name for name in names if is_secret_name(name)}
    return mask_query(raw_query, masks.query | secret, replacer)
