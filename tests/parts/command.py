"""Commands in this process, as a person runs them: arguments in; standard output, standard error and exit code out."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path

import pytest

from doorward.cli.main import main


@dataclass
class Ran:
    """What a command left on the terminal."""

    code: object
    out: str
    err: str


class _File(TextIOWrapper):
    """What a shell puts in the place of standard output: text and bytes."""

    def __init__(self) -> None:
        self._kept = BytesIO()
        super().__init__(self._kept, encoding="utf-8", newline="", write_through=True)

    def getvalue(self) -> str:
        return self._kept.getvalue().decode("utf-8", "backslashreplace")


class _Screen(StringIO):
    def isatty(self) -> bool:
        return True


class Terminal:
    """A folder to run commands in."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        monkeypatch.chdir(folder)
        monkeypatch.delenv("DOORWARD_CONFIG", raising=False)

    def run(self, *arguments: str, screen: bool = False) -> Ran:
        """Run `doorward ARGUMENTS`; with `screen` its standard output is a terminal, else a file."""
        out, err = (_Screen() if screen else _File()), StringIO()
        with self._monkeypatch.context() as patch, _logging_kept():
            patch.setattr(sys, "argv", ["doorward", *arguments])
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            with pytest.raises(SystemExit) as ended:
                main()
        home = str(self.folder)
        return Ran(ended.value.code, out.getvalue().replace(home, "~"), err.getvalue().replace(home, "~"))


@contextmanager
def _logging_kept() -> Iterator[None]:
    """Leave logging as it was; a command sets it up for its process."""
    names = ("mitmproxy", "doorward", "hpack")
    levels = {name: logging.getLogger(name).level for name in names}
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
