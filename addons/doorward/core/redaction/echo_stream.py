"""Takes secrets out of a body that comes piece by piece, and holds back no more than it must.

What leaves is what `EchoGuard.clean` makes of the whole body, however it is cut into pieces:
the end of a piece stays here only as long as it may be the beginning of a secret, in any
spelling. So an event of a stream is not delayed, and no part of a secret leaves before it is
known for one. Memory is bounded: what would be held beyond that is told as not complete.
"""

from collections.abc import Sequence

from doorward.core.redaction.echo import Cleaned, EchoGuard

_MOST_HELD = 16 << 10  # beyond the longest spelling; nobody spells an innocent text like that


class EchoStream:
    """One body; the guards may be others with each piece, since secrets are rotated meanwhile."""

    __slots__ = ("_held", "_replacement")

    def __init__(self, replacement: bytes) -> None:
        self._replacement = replacement
        self._held = b""

    def feed(self, piece: bytes, guards: Sequence[EchoGuard]) -> Cleaned:
        """What may leave now. Where `complete` is false nothing more may leave, and nothing is given."""
        held = self._held + piece
        at = min((guard.begun(held) for guard in guards), default=len(held))
        if at < len(held):
            finding = [guard for guard in guards if guard.found(held)]
            if any(not guard.clean(held, self._replacement).complete for guard in finding):
                return Cleaned(b"", 0, complete=False)  # a cut could go through the one that cannot be taken out
            before = None
            while before != at:
                before = at
                at = min((guard.uncut_before(held, at) for guard in finding), default=at)
        self._held = held[at:]
        if len(self._held) > _MOST_HELD + max((guard.longest for guard in guards), default=0):
            return Cleaned(b"", 0, complete=False)
        return self._clean(held[:at], guards)

    def end(self, guards: Sequence[EchoGuard]) -> Cleaned:
        """The rest, once nothing more comes."""
        held, self._held = self._held, b""
        return self._clean(held, guards)

    def _clean(self, data: bytes, guards: Sequence[EchoGuard]) -> Cleaned:
        hits = 0
        for guard in guards:
            cleaned = guard.clean(data, self._replacement)
            hits += cleaned.hits
            if not cleaned.complete:
                return Cleaned(b"", hits, complete=False)
            data = cleaned.data
        return Cleaned(data, hits, complete=True)
