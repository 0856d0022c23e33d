"""Programs too large for the locked set: installed once into a cache outside the tree, pinned and by hash."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

_LONGEST_S = 900
PINNED = Path(__file__).parents[1] / "end_to_end" / "pinned"


def cache_folder() -> Path:
    """Where they are kept; `DOORWARD_TEST_CACHE` names another place."""
    named = os.environ.get("DOORWARD_TEST_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "doorward-tests"


def python_with(name: str) -> Path:
    """An interpreter of its own with what `pinned/NAME.txt` locks; skips the test where it cannot be installed."""
    pins = PINNED / f"{name}.txt"
    folder = _folder(name, pins)
    python = folder / "bin" / "python"
    _once(
        folder,
        [sys.executable, "-m", "venv", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "--requirement", str(pins)],
    )
    return python


def node_modules_with(name: str) -> Path:
    """A folder whose `node_modules` is what `pinned/NAME/package-lock.json` locks; skips likewise."""
    pins = PINNED / name / "package-lock.json"
    folder = _folder(name, pins)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _once(
        folder,
        ["cp", "-r", str(pins.parent), str(folder)],
        ["npm", "ci", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts"],
    )
    return folder


def _folder(name: str, pins: Path) -> Path:
    # By what is pinned and by the interpreter, so that a change of either makes another.
    digest = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()[:16]
    return cache_folder() / f"{name}-{digest}"


def _once(folder: Path, *lines: Sequence[str]) -> None:
    """Run the lines unless they have run to their end before; one process at a time."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    done = folder / ".installed"
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.exists():
            return
        shutil.rmtree(folder, ignore_errors=True)
        for line in lines:
            try:
                ran = subprocess.run(line, capture_output=True, text=True, timeout=_LONGEST_S, check=False)
            except (OSError, subprocess.TimeoutExpired) as error:
                pytest.skip(f"{folder.name} could not be installed: {type(error).__name__}")
            if ran.returncode != 0:
                pytest.skip(f"{folder.name} could not be installed: {ran.stderr.strip().splitlines()[-1:]}")
        done.touch()
