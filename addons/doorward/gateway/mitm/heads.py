"""What a head on the wire may look like before mitmproxy reads it: one reading, in bounds.

Bytes in, verdict out. mitmproxy takes obs-fold, NUL, a bare CR, any version and a status such
as `+103` as they come; what it makes of them is not what another parser makes. Called by the
HTTP/1 layers of `mitm.http`, for requests and for answers.
"""

import re

from h11._receivebuffer import ReceiveBuffer

from doorward.errors import DoorwardError, TooLarge, Unclear

# A head ends at the first empty line. Inside of it: no NUL or other control byte but HTAB, no CR
# that no LF follows (it may still come), no line that starts with white space (obs-fold; RFC 9112,
# sections 2.2 and 5.2).
_HEAD_END = re.compile(rb"\n\r?\n")
_BAD_IN_HEAD = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n|\Z)|\n[ \t]")
_EMPTY_LINES = re.compile(rb"(?:\r?\n)+")
# RFC 9112, sections 3 and 4. A version of another number would make an HTTP/1 request an HTTP/2 one.
_REQUEST_LINE = re.compile(rb"[^ \t\r\n]+ [^ \t\r\n]+ HTTP/1\.[01]\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (?P<status>[0-9]{3})(?: [^\r\n]*)?\r?\n")


def empty_lines(raw: bytes) -> int:
    """Bytes of empty lines before a head; they are passed over (RFC 9112, section 2.2)."""
    found = _EMPTY_LINES.match(raw)
    return found.end() if found else 0


def without_empty_lines(buf: ReceiveBuffer) -> bytes:
    """Pass over empty lines before a head, at which mitmproxy would wait for ever; what is left."""
    raw = bytes(buf)
    skipped = empty_lines(raw)
    if skipped:
        buf.maybe_extract_at_most(skipped)
    return raw[skipped:]


def is_complete(raw: bytes) -> bool:
    """Whether a whole head is there."""
    return _HEAD_END.search(raw) is not None


def bad_request_head(raw: bytes, limit: int) -> DoorwardError | None:
    """What is wrong with the head of a request, as far as it is there."""
    size = _size(raw)
    if size > limit:
        return TooLarge(f"the head is over {limit} bytes", cause="head-too-large", hint="send fewer or shorter headers")
    if b"\n" in raw and not _REQUEST_LINE.match(raw):
        return Unclear("the request is not HTTP/1.1", cause="not-http", hint="send plain HTTP requests only")
    if _BAD_IN_HEAD.search(raw[:size]):
        return Unclear(
            "the head holds control bytes or a folded line",
            cause="control-bytes",
            hint="send one header a line, in text",
        )
    return None


def is_bad_answer_head(raw: bytes, limit: int) -> bool:
    """Whether the head of an answer, as far as it is there, is one that we do not read."""
    size = _size(raw)
    return size > limit or (b"\n" in raw and not _STATUS_LINE.match(raw)) or _BAD_IN_HEAD.search(raw[:size]) is not None


def status_of(raw: bytes) -> int | None:
    """The status in the first line of an answer, once that is there."""
    found = _STATUS_LINE.match(raw)
    return int(found["status"]) if found else None


def _size(raw: bytes) -> int:
    end = _HEAD_END.search(raw)
    return end.end() if end else len(raw)
