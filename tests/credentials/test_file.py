import time
from pathlib import Path

import pytest

from doorward.credentials import file as subject
from doorward.credentials.file import FileSecret
from doorward.errors import Misconfigured
from doorward.private_files import write_file

SECRET = b"first-secret-0123456789"


def test_one_look_serves_the_steps_of_a_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "LOOK_AGAIN_S", 0.1)
    path = tmp_path / "secret"
    write_file(path, SECRET)
    place = FileSecret(path)
    place.read()
    assert not place.changed()
    write_file(path, SECRET)
    deadline_s = time.monotonic() + 5
    while not place.changed():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_a_file_counts_as_changed_until_it_was_read(tmp_path: Path) -> None:
    write_file(tmp_path / "secret", SECRET)
    place = FileSecret(tmp_path / "secret")
    assert place.changed()
    assert place.read().reveal() == SECRET
    assert not place.changed()


def test_another_file_in_its_place_is_a_change(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_file(path, SECRET)
    place = FileSecret(path)
    place.read()
    write_file(path, SECRET)
    assert place.changed()
    place.read()
    path.unlink()
    assert place.changed()


def test_a_file_that_failed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_file(path, SECRET)
    place = FileSecret(path)
    place.read()
    path.chmod(0o644)
    with pytest.raises(Misconfigured, match="0644"):
        place.read()
    assert place.changed()


def test_a_link_that_is_turned_to_another_file_is_a_change(tmp_path: Path) -> None:
    write_file(tmp_path / "one", SECRET)
    write_file(tmp_path / "two", SECRET.upper())
    link = tmp_path / "secret"
    link.symlink_to("one")
    place = FileSecret(link)
    place.read()
    link.unlink()
    link.symlink_to("two")
    assert place.changed()
    assert place.read().reveal() == SECRET.upper()
