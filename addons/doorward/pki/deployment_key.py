"""The deployment's own key: digests, sentinels and generations are keyed with it.

Made once by `doorward init`; another key makes every open approval and every sentinel that
is out there worthless, so nothing replaces it.
"""

import contextlib
import secrets
from pathlib import Path
from typing import Final

from doorward.errors import Misconfigured
from doorward.private_files import read_private, write_file

KEY_BYTES: Final = 32


def load_or_create_key(path: Path) -> bytes:
    """The key in `path`, which is made if no file is there; raises Misconfigured."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):  # another process was first; its key counts
            write_file(path, secrets.token_hex(KEY_BYTES).encode() + b"\n", replace=False)
    return load_key(path)


def load_key(path: Path) -> bytes:
    """The key in `path`; raises Misconfigured if it is not there, not private, or no key."""
    text = read_private(path, what="the deployment's key").content.strip()
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise Misconfigured(
            f"the deployment's key is not {KEY_BYTES} bytes in hex",
            cause="deployment-key",
            where=str(path),
            hint="put back the file that `doorward init` made; a new key voids open approvals",
        )
    return key
