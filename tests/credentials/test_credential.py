import copy
import os
import pickle
import re
from pathlib import Path

import pytest

from doorward.credentials.credential import CredentialSource, CredentialSpec
from doorward.errors import Misconfigured, Unavailable
from doorward.private_files import write_file

KEY = b"k" * 32
FIRST = b"first-secret-0123456789"
SECOND = b"second-secret-0123456789"
THIRD = b"third-secret-0123456789"


def source_of(path: Path, *, template: str = "Bearer {secret}", key: bytes = KEY) -> CredentialSource:
    return CredentialSource(CredentialSpec("billing-token", "Authorization", template, file=path), key)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_file(tmp_path / "billing", FIRST + b"\n")
    return tmp_path / "billing"


def test_the_value_is_the_template_with_the_secret(path: Path) -> None:
    credential = source_of(path).load()
    assert (credential.alias, credential.header) == ("billing-token", "Authorization")
    assert credential.reveal() == "Bearer first-secret-0123456789"
    assert credential.secrets == (FIRST,)


def test_an_unchanged_file_gives_the_same_object(path: Path) -> None:
    source = source_of(path)
    assert source.load() is source.load()


def test_a_changed_file_is_read_again_and_the_last_secret_is_kept_for_the_guard(path: Path) -> None:
    source = source_of(path)
    first = source.load()
    write_file(path, SECOND)
    second = source.load()
    assert second.reveal() == "Bearer " + SECOND.decode()
    assert second.secrets == (SECOND, FIRST)
    assert second.generation != first.generation
    write_file(path, THIRD)
    assert source.load().secrets == (THIRD, SECOND)
    write_file(path, THIRD + b"\r\n")  # the same secret in another file
    assert source.load().secrets == (THIRD, SECOND)


def test_a_change_in_place_of_the_same_size_is_seen(path: Path) -> None:
    source = source_of(path)
    source.load()
    with path.open("r+b") as file:
        file.write(FIRST.upper())
    os.utime(path, ns=(1, 1))
    assert source.load().secrets == (FIRST.upper(), FIRST)


def test_the_generation_outlives_restarts_and_tells_nothing(path: Path) -> None:
    generation = source_of(path).load().generation
    assert re.fullmatch("[0-9a-f]{16}", generation)
    assert source_of(path).load().generation == generation
    assert source_of(path, template="{secret}").load().generation == generation
    assert source_of(path, key=b"x" * 32).load().generation != generation


@pytest.mark.parametrize("harm", ["gone", "mode", "short"])
def test_a_changed_secret_that_cannot_be_read_means_no_credential(path: Path, harm: str) -> None:
    source = source_of(path)
    source.load()
    match harm:
        case "gone":
            path.unlink()
        case "mode":
            path.chmod(0o644)
        case _:
            write_file(path, b"short")
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            source.load()
        assert caught.value.cause == "credential-unreadable"
        assert caught.value.hint
    write_file(path, SECOND)
    assert source.load().secrets == (SECOND, FIRST)


def test_a_secret_that_cannot_be_read_at_the_start_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as caught:
        source_of(tmp_path / "missing").load()
    assert caught.value.where == str(tmp_path / "missing")


def test_nothing_shows_the_secret(path: Path) -> None:
    source = source_of(path)
    credential = source.load()
    for thing in (source, credential, credential.value, [credential], {"c": credential.value}):
        for text in (repr(thing), str(thing), f"{thing!s}"):
            assert FIRST.decode() not in text
    assert "billing" in repr(source)
    assert repr(credential.value) == "Secret(masked)"


@pytest.mark.parametrize("thing", ["credential", "value"])
def test_a_secret_is_neither_pickled_nor_copied(path: Path, thing: str) -> None:
    credential = source_of(path).load()
    subject: object = credential if thing == "credential" else credential.value
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError):
            pickle.dumps(subject, protocol)
    with pytest.raises(TypeError):
        copy.deepcopy(subject)
    with pytest.raises(TypeError):
        copy.copy(subject)
