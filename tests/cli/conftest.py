from pathlib import Path

import pytest

from tests.parts.command import Terminal


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """An empty folder."""
    return Terminal(tmp_path, monkeypatch)


@pytest.fixture
def deployed(terminal: Terminal) -> Terminal:
    """A folder after `doorward init`."""
    assert terminal.run("init").code == 0
    return terminal
