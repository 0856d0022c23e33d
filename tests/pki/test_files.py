import datetime
from pathlib import Path

import pytest

from doorward.errors import Misconfigured
from doorward.pki.files import CA_FILE, ROOT_FILE, ROOT_KEY_FILE, create_root, ensure_intermediate

NOW = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC)
HOSTS = ("billing.internal",)
DAY = datetime.timedelta(days=1)


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_init_writes_the_root_and_keeps_its_key_private(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "certs"
    root = create_root(folder, NOW)
    assert mode_of(folder / ROOT_KEY_FILE) == 0o600
    assert mode_of(folder / ROOT_FILE) == 0o644
    assert (folder / ROOT_FILE).read_bytes() == root.certificate_pem()
    assert sorted(path.name for path in folder.iterdir()) == [ROOT_KEY_FILE, ROOT_FILE]
    assert "PRIVATE" not in repr(root)


def test_a_root_is_never_replaced(tmp_path: Path) -> None:
    create_root(tmp_path, NOW)
    (tmp_path / ROOT_KEY_FILE).unlink()
    with pytest.raises(Misconfigured) as caught:
        create_root(tmp_path, NOW)
    assert caught.value.cause == "root-exists"


def test_the_intermediate_is_issued_once_until_something_changes(tmp_path: Path) -> None:
    create_root(tmp_path, NOW)
    assert ensure_intermediate(tmp_path, HOSTS, NOW)
    assert mode_of(tmp_path / CA_FILE) == 0o600
    first = (tmp_path / CA_FILE).read_bytes()
    assert [line for line in first.decode().splitlines() if line.startswith("-----BEGIN")] == [
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----",
    ]
    assert not ensure_intermediate(tmp_path, HOSTS, NOW + DAY)
    assert (tmp_path / CA_FILE).read_bytes() == first
    assert ensure_intermediate(tmp_path, ("other.internal",), NOW + DAY)
    assert ensure_intermediate(tmp_path, ("other.internal",), NOW + 7 * DAY)


def test_with_the_root_offline_the_gateway_runs_until_it_must_reissue(tmp_path: Path) -> None:
    create_root(tmp_path, NOW)
    ensure_intermediate(tmp_path, HOSTS, NOW)
    (tmp_path / ROOT_KEY_FILE).unlink()
    assert not ensure_intermediate(tmp_path, HOSTS, NOW + 4 * DAY)
    with pytest.raises(Misconfigured, match="bring the key back") as caught:
        ensure_intermediate(tmp_path, HOSTS, NOW + 6 * DAY)
    assert caught.value.cause == "root-key-absent"


def test_another_root_means_another_intermediate(tmp_path: Path) -> None:
    create_root(tmp_path, NOW)
    ensure_intermediate(tmp_path, HOSTS, NOW)
    for name in (ROOT_FILE, ROOT_KEY_FILE):
        (tmp_path / name).unlink()
    root = create_root(tmp_path, NOW)
    assert ensure_intermediate(tmp_path, HOSTS, NOW)
    assert (tmp_path / CA_FILE).read_bytes().endswith(root.certificate_pem())


def test_without_a_root_init_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="doorward init") as caught:
        ensure_intermediate(tmp_path, HOSTS, NOW)
    assert caught.value.cause == "root-absent"


def test_an_authority_that_others_can_read_is_refused(tmp_path: Path) -> None:
    create_root(tmp_path, NOW)
    ensure_intermediate(tmp_path, HOSTS, NOW)
    (tmp_path / CA_FILE).chmod(0o644)
    with pytest.raises(Misconfigured, match="0644, expected 0600"):
        ensure_intermediate(tmp_path, HOSTS, NOW)
