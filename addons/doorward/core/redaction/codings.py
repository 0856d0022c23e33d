"""Undoing one content coding within a limit: gzip, deflate, br, zstd.

Every byte of the input is accounted for: a stream that ends early, or that is followed by
anything but another member or frame, is Withheld, because what one reader drops another one
shows. Output is made piece by piece, so that a bomb costs no more memory than the limit.
Called by `content` alone.
"""

import zlib

import brotli
import zstandard

from doorward.errors import TooLarge, Withheld

_PIECE = 1 << 16
_MAX_MEMBERS = 4096  # gzip members or zstd frames; each costs time even when it is empty
_ZSTD_MAGIC = 0xFD2FB528
_ZSTD_SKIPPABLE = range(0x184D2A50, 0x184D2A60)
_ZSTD_RLE = 1  # a block whose content is one byte, repeated
_ZSTD_WINDOW = 8 << 20  # RFC 9659: what a decoder on the web must accept


class _Output:
    """Collects decoded pieces up to a limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.length = 0
        self.pieces: list[bytes] = []

    def add(self, piece: bytes) -> None:
        self.length += len(piece)
        if self.length > self.limit:
            raise TooLarge("the decoded body is too long", cause="body-too-large", hint=f"at most {self.limit} bytes")
        self.pieces.append(piece)

    def join(self) -> bytes:
        return b"".join(self.pieces)


def decode_gzip(raw: bytes, limit: int) -> bytes:
    """All members of a gzip file (RFC 1952, 2.2)."""
    return _inflate(raw, limit, 16 + zlib.MAX_WBITS, members=_MAX_MEMBERS)


def decode_deflate(raw: bytes, limit: int) -> bytes:
    """A zlib stream, the one reading of RFC 9110, 8.4.1.2; the bare deflate that some send instead is not guessed."""
    return _inflate(raw, limit, zlib.MAX_WBITS, members=1)


def decode_brotli(raw: bytes, limit: int) -> bytes:
    """One brotli stream (RFC 7932)."""
    output = _Output(limit)
    decoder = brotli.Decompressor()
    try:
        piece = decoder.process(raw, output_buffer_limit=_PIECE)
        while piece:
            output.add(piece)
            piece = decoder.process(b"", output_buffer_limit=_PIECE)
    except brotli.error:
        raise _broken() from None
    if not decoder.is_finished():
        raise _broken()
    return output.join()


def decode_zstd(raw: bytes, limit: int) -> bytes:
    """All frames of a zstd stream (RFC 8878); what skippable frames carry is dropped."""
    output = _Output(limit)
    start = 0
    for _ in range(_MAX_MEMBERS):
        if start == len(raw):
            break
        magic = int.from_bytes(_part(raw, start, 4), "little")
        if magic in _ZSTD_SKIPPABLE:
            length = int.from_bytes(_part(raw, start + 4, 4), "little")
            start += 8 + len(_part(raw, start + 8, length))
        elif magic == _ZSTD_MAGIC:
            end = _end_of_frame(raw, start)
            _decode_frame(raw[start:end], output)
            start = end
        else:
            raise _broken()
    if start < len(raw) or not raw:
        raise _broken()
    return output.join()


def _inflate(raw: bytes, limit: int, wbits: int, *, members: int) -> bytes:
    output = _Output(limit)
    position = 0
    for _ in range(members):
        position = _inflate_member(raw, position, wbits, output)
        if position == len(raw):
            return output.join()
    raise _broken()


def _inflate_member(raw: bytes, position: int, wbits: int, output: _Output) -> int:
    """Decode one stream; where it ends in the input."""
    decoder = zlib.decompressobj(wbits)
    while position < len(raw):
        fed = pending = raw[position : position + _PIECE]
        position += len(fed)
        piece = bytes(_PIECE)
        while pending or len(piece) == _PIECE:
            try:
                piece = decoder.decompress(pending, _PIECE)
            except zlib.error:
                raise _broken() from None
            output.add(piece)
            if decoder.eof:
                return position - len(decoder.unused_data)
            pending = decoder.unconsumed_tail
    raise _broken()


def _decode_frame(frame: bytes, output: _Output) -> None:
    decoder = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    try:
        with decoder.stream_reader(frame) as reader:
            while piece := reader.read(_PIECE):
                output.add(piece)
    except zstandard.ZstdError:
        raise _broken() from None


def _end_of_frame(raw: bytes, start: int) -> int:
    """Where a zstd frame ends by its own block headers (RFC 8878, 3.1.1)."""
    descriptor = _part(raw, start + 4, 1)[0]
    single_segment = descriptor >> 5 & 1
    content_size = (single_segment, 2, 4, 8)[descriptor >> 6]
    position = start + 5 + (1 - single_segment) + (0, 1, 2, 4)[descriptor & 3] + content_size
    last = 0
    while not last:
        header = int.from_bytes(_part(raw, position, 3), "little")
        last, kind, length = header & 1, header >> 1 & 3, header >> 3
        position += 3 + len(_part(raw, position + 3, 1 if kind == _ZSTD_RLE else length))
    return position + len(_part(raw, position, 4 * (descriptor >> 2 & 1)))


def _part(raw: bytes, start: int, length: int) -> bytes:
    part = raw[start : start + length]
    if len(part) < length:
        raise _broken()
    return part


def _broken() -> Withheld:
    return Withheld(
        "the body's content coding is damaged, cut short or followed by something else",
        cause="content-encoding",
        hint="the target may answer without a content coding",
    )
