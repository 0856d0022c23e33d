from pathlib import Path

import pytest

from doorward.errors import Misconfigured
from doorward.pki.deployment_key import load_key, load_or_create_key


def test_the_key_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "deployment"
    key = load_or_create_key(path)
    assert len(key) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_create_key(path) == load_key(path) == key


def test_without_its_file_there_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="No such file"):
        load_key(tmp_path / "deployment")


@pytest.mark.parametrize(
    "text", ["", "xyz", "ab" * 31, "ab" * 33, "é" * 64], ids=["empty", "text", "short", "long", "é"]
)
def test_what_is_no_key_is_refused_and_not_replaced(tmp_path: Path, text: str) -> None:
    path = tmp_path / "deployment"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(Misconfigured) as caught:
        load_or_create_key(path)
    assert caught.value.cause == "deployment-key"
    assert path.read_text() == text
    assert not text or text not in str(caught.value)
