"""What is running, for `gateway.started`: versions, digests of the program and of its surroundings."""

import hashlib
import os
import platform
import ssl
from collections.abc import Mapping
from importlib.metadata import distributions
from pathlib import Path

import doorward
from doorward.model import Json, NewEntry


def started_entry(options: Mapping[str, Json], worker: str) -> NewEntry:
    """The entry with which a worker begins."""
    installed = sorted({f"{each.name}=={each.version}" for each in distributions()})
    versions: dict[str, Json] = {
        "doorward": doorward.__version__,
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "mitmproxy": next((each.partition("==")[2] for each in installed if each.startswith("mitmproxy==")), ""),
    }
    return NewEntry(
        "gateway.started",
        {
            "versions": versions,
            "program": _digest_of_program(),
            "lock": hashlib.sha256("\n".join(installed).encode()).hexdigest(),
            "uid": os.getuid(),
            "options": dict(options),
            "worker": worker,
        },
    )


def _digest_of_program() -> str:
    """SHA-256 over names and contents of the package's modules, in order."""
    root = Path(doorward.__file__).parent
    digest = hashlib.sha256()
    for file in sorted(root.rglob("*.py")):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(root)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
