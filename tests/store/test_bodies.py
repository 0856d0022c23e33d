from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.errors import Unavailable
from doorward.store.bodies import pack_body, unpack_body


@given(st.binary(max_size=5000))
def test_a_body_comes_back(plain: bytes) -> None:
    packed = pack_body(plain)
    assert unpack_body(packed) == plain
    assert packed.size == len(plain)


def test_equal_bodies_have_different_digests() -> None:
    first, second = pack_body(b"yes"), pack_body(b"yes")
    assert first.digest != second.digest
    assert first.salt != second.salt
    assert len(first.salt) == 16


@pytest.mark.parametrize(
    "changes",
    [{"zstd": b"rubbish"}, {"salt": bytes(16)}, {"zstd": pack_body(b"nay").zstd}, {"size": 4}, {"digest": "0" * 64}],
    ids=["no zstd", "other salt", "other body", "other size", "other digest"],
)
def test_a_changed_body_is_not_given(changes: dict[str, object]) -> None:
    with pytest.raises(Unavailable) as failed:
        unpack_body(replace(pack_body(b"yes"), **changes))  # type: ignore[arg-type]
    assert failed.value.cause == "store-damaged"


def test_several_threads_unpack_at_once() -> None:
    packed = [pack_body(bytes([at]) * 300_000) for at in range(40)]
    with ThreadPoolExecutor(8) as threads:
        for at, plain in enumerate(threads.map(unpack_body, packed * 3)):
            assert plain == bytes([at % 40]) * 300_000
