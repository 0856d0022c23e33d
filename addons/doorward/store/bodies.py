"""Bodies as they lie beside entries: salted digest, zstd, and back with a check.

The digest is SHA-256 over a random salt and the plain bytes: an entry that names it gives
nothing away about short bodies, and a deleted body leaves its proof whole. Called by the
ledger (`pack_body`) and by `segments` (`unpack_body`).
"""

import hashlib
import os
import threading
from dataclasses import dataclass

import zstandard

from doorward.errors import Unavailable

_COMPRESSOR = zstandard.ZstdCompressor(level=3)


_OF_THREAD = threading.local()


@dataclass(frozen=True, slots=True)
class PackedBody:
    """One body, ready to be stored."""

    digest: str
    salt: bytes
    size: int
    zstd: bytes


def pack_body(plain: bytes) -> PackedBody:
    """Return the body with a fresh salt."""
    salt = os.urandom(16)
    return PackedBody(hashlib.sha256(salt + plain).hexdigest(), salt, len(plain), _COMPRESSOR.compress(plain))


def unpack_body(packed: PackedBody) -> bytes:
    """Return the plain bytes; raises Unavailable if they are not what the digest says."""
    try:
        plain = _decompressor().decompress(packed.zstd, max_output_size=packed.size)
    except zstandard.ZstdError:
        plain = b""
    if len(plain) != packed.size or hashlib.sha256(packed.salt + plain).hexdigest() != packed.digest:
        raise Unavailable("a stored body is not what its digest says", cause="store-damaged")
    return plain


def _decompressor() -> zstandard.ZstdDecompressor:
    """One for each thread that reads bodies: it may not be shared, and making one costs more than a small body."""
    known: zstandard.ZstdDecompressor | None = getattr(_OF_THREAD, "decompressor", None)
    if known is None:
        known = _OF_THREAD.decompressor = zstandard.ZstdDecompressor()
    return known
