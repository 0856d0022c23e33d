import pytest

from doorward.core.units import parse_duration_s, parse_size_bytes
from doorward.errors import Misconfigured


@pytest.mark.parametrize(("text", "seconds"), [("45s", 45), ("15m", 900), ("1h", 3600), ("7d", 604800)])
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize(("text", "size"), [("512B", 512), ("64KiB", 65536), ("16MiB", 16 << 20), ("1GiB", 1 << 30)])
def test_sizes(text: str, size: int) -> None:
    assert parse_size_bytes(text) == size


@pytest.mark.parametrize("text", ["", "45", "s", "0s", "-1s", "1.5h", "45 s", "01s", "1w", "45S", "9999999999s"])
def test_what_is_no_duration_is_an_error_with_a_hint(text: str) -> None:
    with pytest.raises(Misconfigured, match="write it as 45s"):
        parse_duration_s(text)


@pytest.mark.parametrize("text", ["16MB", "16 MiB", "MiB", "0B", "1mib"])
def test_what_is_no_size_is_an_error_with_a_hint(text: str) -> None:
    with pytest.raises(Misconfigured, match="write it as 64KiB"):
        parse_size_bytes(text)
