"""The authority's files in the folder `ca:` of the settings, and when they change.

    doorward-root.pem       the root's certificate; public, agents trust it
    doorward-root-key.pem   its key; take it offline, and bring it back to issue
    mitmproxy-ca.pem        key, intermediate and root in this order, as mitmproxy reads them

`doorward init` calls `create_root`; the gateway calls `ensure_intermediate` at its start and
when the policy's hosts change; `check` and `status` call `needs_reissue`.
"""

import fcntl
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from doorward.errors import Misconfigured
from doorward.pki.authority import Authority, parse_authority
from doorward.pki.intermediate import issue_intermediate, needs_reissue
from doorward.pki.root import make_root
from doorward.private_files import read_private, write_file

ROOT_FILE: Final = "doorward-root.pem"
ROOT_KEY_FILE: Final = "doorward-root-key.pem"
CA_FILE: Final = "mitmproxy-ca.pem"


def create_root(folder: Path, now: datetime) -> Authority:
    """Make a root where none is; raises Misconfigured rather than replacing one that agents may trust."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / ROOT_FILE).exists() or (folder / ROOT_KEY_FILE).exists():
        raise Misconfigured(
            "a root exists already",
            cause="root-exists",
            where=str(folder / ROOT_FILE),
            hint="keep it; for a new one move the old files away, and have every agent trust the new one",
        )
    root = make_root(now)
    write_file(folder / ROOT_KEY_FILE, root.key_pem(), replace=False)
    write_file(folder / ROOT_FILE, root.certificate_pem(), mode=0o644)
    return root


def ensure_intermediate(folder: Path, hosts: Collection[str], now: datetime) -> bool:
    """Issue an intermediate if the one in place does not do; True if one was issued. Raises Misconfigured."""
    root_pem = _root_certificate(folder)
    ca_file = folder / CA_FILE
    with _one_at_a_time(folder):
        if ca_file.exists():
            in_place = read_private(ca_file, what="the gateway's authority").content
            if in_place.endswith(root_pem) and not needs_reissue(in_place, hosts, now):
                return False
        write_ca_files(folder, _root(folder, root_pem), hosts, now)
        return True


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Several workers may find at once that it is time; one issues, the others then see that it was done."""
    descriptor = os.open(folder / "issue.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_ca_files(folder: Path, root: Authority, hosts: Collection[str], now: datetime) -> None:
    """Issue an intermediate of `root` for `hosts`, and write it as mitmproxy wants it."""
    intermediate = issue_intermediate(root, hosts, now)
    chain = intermediate.key_pem() + intermediate.certificate_pem() + root.certificate_pem()
    write_file(folder / CA_FILE, chain)


def _root_certificate(folder: Path) -> bytes:
    try:
        return (folder / ROOT_FILE).read_bytes()
    except OSError as error:
        raise Misconfigured(
            f"cannot read the root's certificate: {error.strerror}",
            cause="root-absent",
            where=str(folder / ROOT_FILE),
            hint="make one with `doorward init`, or name its folder as `ca` in doorward.yaml",
        ) from None


def _root(folder: Path, root_pem: bytes) -> Authority:
    key_file = folder / ROOT_KEY_FILE
    if not key_file.exists():
        raise Misconfigured(
            "the gateway's authority must be issued anew, and the root's key is not here",
            cause="root-key-absent",
            where=str(key_file),
            hint="bring the key back from where it is kept, start once, and take it away again",
        )
    return parse_authority(read_private(key_file, what="the root's key").content, root_pem, where=str(key_file))
