"""Hashes of the Merkle tree over the entries' exact bytes (RFC 9162, section 2.1.1).

Knows bytes alone: not what an entry is, nor where it is stored. The ledger hashes each
entry when it writes it, and again the last one when it starts.
"""

import hashlib


def leaf_hash(entry: bytes) -> bytes:
    """Return the leaf hash of one entry's bytes: SHA-256(0x00 || entry)."""
    return hashlib.sha256(b"\x00" + entry).digest()
