"""Which recorded answer belongs to a request that comes again, though the record is masked.

Both sides are brought to one form by the same masks: all that the policy of now may put to requests of this
target, whoever asks. To mask what is masked already changes nothing, so a recorded request and the same
request in clear get equal keys, unless the policy has lost or changed a mask meanwhile. Headers are
left out, as in mitmproxy's own replay. Pure; `playback` serves by it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple
from urllib.parse import unquote_plus

from doorward.core.clearing import MaskSet, compile_masks, record_body, record_query
from doorward.core.policy import Policy
from doorward.core.recorded import Kept, RecordedFlow
from doorward.core.redaction.masks import Replacer
from doorward.model import Target

ANY_BODY: Final = b"\x00any"  # in the place of a body that the record does not hold


class ReplayKey(NamedTuple):
    """What must be equal for an answer to belong to a request."""

    target: str
    method: str
    path: str  # raw, as on the wire
    query: str  # raw and masked
    body: bytes  # decoded and masked, the beginning that a record would keep


@dataclass(frozen=True, slots=True)
class Keys:
    """Makes keys under one policy."""

    policy: Policy
    masks: Mapping[str, MaskSet]  # by target
    replacer: Replacer
    recorded_bytes: int

    @classmethod
    def under(cls, policy: Policy, replacer: Replacer, *, recorded_bytes: int) -> "Keys":
        """Compile the masks of each target."""
        masks = {name: compile_masks(policy.masks_on(name)) for name in policy.targets}
        return cls(policy, masks, replacer, recorded_bytes)

    def asked(self, target: Target, method: str, raw_target: str, content_type: str | None, body: bytes) -> ReplayKey:
        """Return the key of a request that came in clear; `body` is without its content coding."""
        path, _, query = raw_target.partition("?")
        form = self._body(target, body, content_type) if target.record_bodies else ANY_BODY if body else b""
        return ReplayKey(target.name, method, path, self._query(target.name, query), form)

    def recorded(self, flow: RecordedFlow) -> ReplayKey | None:
        """Return the key of a recorded request; None if the policy knows its target no more, or its URL is gone."""
        target = self.policy.targets.get(flow.target or "")
        _, separator, rest = flow.url.partition("://")
        if target is None or not separator:
            return None
        path, _, query = ("/" + rest.partition("/")[2]).partition("?")
        match flow.asked.kept:
            case Kept.NONE:
                form = b""
            case Kept.CUT:  # what is left of JSON can be masked no more, and need not
                form = flow.asked.body
            case Kept.WHOLE if target.record_bodies:
                form = self._body(target, flow.asked.body, flow.asked.header("content-type"))
            case _:
                form = ANY_BODY
        return ReplayKey(target.name, flow.method, path, self._query(target.name, query), form)

    def _body(self, target: Target, body: bytes, content_type: str | None) -> bytes:
        return record_body(self.masks[target.name], body, content_type, self.replacer)[: self.recorded_bytes]

    def _query(self, target: str, raw_query: str) -> str:
        names = [unquote_plus(part.partition("=")[0]) for part in raw_query.split("&") if part]
        return record_query(self.masks[target], raw_query, names, self.replacer)


class Tape[Answer]:
    """Answers by key: those to equal requests in their order, and then the last again and again."""

    def __init__(self) -> None:
        self._answers: dict[ReplayKey, list[Answer]] = {}
        self._missing: dict[ReplayKey, Kept] = {}
        self.count = 0
        self.left_out = 0

    def add(self, flow: RecordedFlow, key: ReplayKey | None, answer: Callable[[RecordedFlow], Answer]) -> None:
        """Add a recorded answer, or note that the record does not hold it."""
        kept = flow.answered.kept if flow.answered is not None else None
        if kept is not None and flow.cause is not None:  # a stream that was broken off
            kept = Kept.CUT
        if key is None or kept not in (Kept.WHOLE, Kept.NONE):
            self.left_out += 1
            if key is not None and kept is not None:
                self._missing.setdefault(key, kept)
            return
        self._answers.setdefault(key, []).append(answer(flow))
        self.count += 1

    def next(self, key: ReplayKey) -> Answer | None:
        """Return the answer whose turn it is; None if there is none."""
        for each in (key, key._replace(body=ANY_BODY)):
            if (answers := self._answers.get(each)) is not None:
                return answers.pop(0) if len(answers) > 1 else answers[0]
        return None

    def why_not(self, key: ReplayKey) -> str:
        """Return why there is no answer, in words."""
        kept = self._missing.get(key) or self._missing.get(key._replace(body=ANY_BODY))
        return f"the record does not hold the whole answer ({kept})" if kept else "the record holds no such request"
