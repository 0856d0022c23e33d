import os
from pathlib import Path

import pytest

from doorward.errors import Misconfigured
from doorward.private_files import MAX_PRIVATE_BYTES, file_mark, new_file, read_private, write_file

SECRET = b"a-secret-that-nobody-may-see"


def refused(path: Path) -> Misconfigured:
    with pytest.raises(Misconfigured) as caught:
        read_private(path, what="the secret")
    assert SECRET.decode() not in str(caught.value)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_private_file_is_read(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secret"
    write_file(path, SECRET, mode=mode)
    read = read_private(path, what="the secret")
    assert read.content == SECRET
    assert read.mark == file_mark(path)
    assert SECRET.decode() not in repr(read)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o700, 0o000, 0o4600])
def test_another_mode_is_refused_and_named(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secret"
    write_file(path, SECRET, mode=mode)
    if mode or os.geteuid() == 0:
        assert f"{mode:04o}" in refused(path).message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_the_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_file(path, SECRET)
    os.chown(path, 12345, -1)
    assert "12345" in refused(path).message


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert refused(tmp_path / "pipe").cause == "private-file-unsafe"
    assert refused(tmp_path).cause == "private-file-unsafe"
    assert refused(tmp_path / "missing").cause == "private-file-unreadable"
    assert file_mark(tmp_path / "missing") is None


def test_a_file_too_long_for_a_secret_is_refused(tmp_path: Path) -> None:
    write_file(tmp_path / "secret", b"x" * (MAX_PRIVATE_BYTES + 1))
    assert "longer" in refused(tmp_path / "secret").message


def test_a_link_to_a_private_file_is_followed(tmp_path: Path) -> None:
    write_file(tmp_path / "secret", SECRET)
    (tmp_path / "link").symlink_to("secret")
    assert read_private(tmp_path / "link", what="the secret").content == SECRET


def test_writing_leaves_the_whole_or_the_old_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_file(path, b"one", replace=False)
    before = file_mark(path)
    with pytest.raises(FileExistsError):
        write_file(path, b"two", replace=False)
    assert path.read_bytes() == b"one"
    write_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert file_mark(path) != before
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


def test_a_new_file_is_there_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "export"
    with new_file(path) as file:
        file.write(b"one")
        assert not path.exists()
    assert path.read_bytes() == b"one"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["export"]


def test_a_new_file_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError), new_file(tmp_path / "export") as file:
        file.writelines([b"half", "no bytes"])  # type: ignore[list-item]
    assert list(tmp_path.iterdir()) == []


def test_a_new_file_replaces_nothing(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"old")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("there", "link", "no/folder"):
        with pytest.raises(Misconfigured) as error, new_file(tmp_path / name):
            raise AssertionError
        assert error.value.cause == "file-not-written"
    with pytest.raises(Misconfigured), new_file(tmp_path / "late"):
        (tmp_path / "late").write_bytes(b"somebody was faster")
    assert (tmp_path / "late").read_bytes() == b"somebody was faster"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["late", "link", "there"]
