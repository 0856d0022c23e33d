import pytest

from doorward.credentials import file


@pytest.fixture(autouse=True)
def look_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "LOOK_AGAIN_S", 0.0)
