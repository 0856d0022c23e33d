import contextlib
import gzip
import os
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from doorward.core.redaction.codings import decode_brotli, decode_deflate, decode_gzip, decode_zstd
from doorward.errors import TooLarge, Withheld

type Decode = Callable[[bytes, int], bytes]

MEBIBYTE = 1 << 20
CODINGS: dict[str, tuple[Decode, Callable[[bytes], bytes]]] = {
    "gzip": (decode_gzip, gzip.compress),
    "deflate": (decode_deflate, zlib.compress),
    "br": (decode_brotli, lambda raw: brotli.compress(raw, quality=3)),
    "zstd": (decode_zstd, zstandard.compress),
    "zstd-with-checksum": (
        decode_zstd,
        zstandard.ZstdCompressor(write_checksum=True, write_content_size=False).compress,
    ),
}
EACH = pytest.mark.parametrize(("decode", "encode"), CODINGS.values(), ids=CODINGS)


def _skippable(content: bytes) -> bytes:
    return (0x184D2A53).to_bytes(4, "little") + len(content).to_bytes(4, "little") + content


@EACH
@pytest.mark.parametrize(
    "body", [b"", b"a", b"abc" * 100_000, os.urandom(200_000)], ids=["empty", "one", "long", "random"]
)
def test_what_was_encoded_is_decoded(decode: Decode, encode: Callable[[bytes], bytes], body: bytes) -> None:
    assert decode(encode(body), len(body)) == body


@EACH
@pytest.mark.parametrize("body", [b"abcdef" * 3, os.urandom(70_000)], ids=["short", "long"])
def test_cut_short_or_followed_by_more_is_withheld(
    decode: Decode, encode: Callable[[bytes], bytes], body: bytes
) -> None:
    raw = encode(body)
    for bad in (b"", raw[:1], raw[:-1], raw[: len(raw) // 2], raw + b"garbage", raw + b"\0", b"garbage" + raw):
        with pytest.raises(Withheld) as caught:
            decode(bad, MEBIBYTE)
        assert caught.value.cause == "content-encoding"


def test_bare_deflate_is_not_guessed() -> None:
    # By its first bytes this one could be taken for zlib, and is bare: two decoders give two bodies.
    for raw in (zlib.compress(b"abc", wbits=-15), b"\x78\x9c" + zlib.compress(b"abc", wbits=-15)):
        with pytest.raises(Withheld):
            decode_deflate(raw, MEBIBYTE)


@EACH
def test_a_bomb_costs_no_more_than_the_limit(decode: Decode, encode: Callable[[bytes], bytes]) -> None:
    raw = encode(bytes(100 * MEBIBYTE))
    tracemalloc.start()
    with pytest.raises(TooLarge):
        decode(raw, MEBIBYTE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * MEBIBYTE


def test_all_members_of_a_gzip_file_are_decoded() -> None:
    assert decode_gzip(gzip.compress(b"one") + gzip.compress(b"") + gzip.compress(b"two"), 6) == b"onetwo"


def test_a_damaged_second_member_is_withheld() -> None:
    with pytest.raises(Withheld):
        decode_gzip(gzip.compress(b"one") + gzip.compress(b"two")[:-2], 100)


def test_members_without_end_are_withheld() -> None:
    for decode, member in ((decode_gzip, gzip.compress(b"")), (decode_zstd, _skippable(b""))):
        with pytest.raises(Withheld):
            decode(member * 5000, 100)


def test_skippable_frames_hide_nothing() -> None:
    frames = _skippable(b"hidden") + zstandard.compress(b"one") + _skippable(b"") + zstandard.compress(b"two")
    assert decode_zstd(frames, 6) == b"onetwo"
    with pytest.raises(Withheld):
        decode_zstd(_skippable(b"hidden")[:-1], 100)


def test_zstd_frames_of_every_header_size() -> None:
    for length in (0, 200, 300, 70_000):
        for size in (True, False):
            raw = zstandard.ZstdCompressor(write_content_size=size).compress(bytes(length))
            assert decode_zstd(raw, length) == bytes(length)


def test_a_zstd_window_beyond_the_webs_is_withheld() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=25, enable_ldm=True)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    raw = compressor.compress(os.urandom(1000)) + compressor.flush()
    with pytest.raises(Withheld):
        decode_zstd(raw, MEBIBYTE)


def test_a_zstd_dictionary_is_withheld() -> None:
    dictionary = zstandard.train_dictionary(1000, [bytes([n % 7]) * 50 + b"%d" % n * 10 for n in range(2000)])
    with pytest.raises(Withheld):
        decode_zstd(zstandard.ZstdCompressor(dict_data=dictionary).compress(b"abc" * 50), MEBIBYTE)


@EACH
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_no_bytes_raise_anything_but_withheld(
    decode: Decode, encode: Callable[[bytes], bytes], data: st.DataObject
) -> None:
    raw = bytearray(encode(b"some text, some text " * 20))
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Withheld, TooLarge):
        assert len(decode(bytes(raw), 10_000)) <= 10_000
