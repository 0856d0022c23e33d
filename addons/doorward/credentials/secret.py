"""A secret as a value that does not show itself.

What it guards against is accident: a repr in a log, a pickle in a recording, a copy in a
flow's metadata. Whoever runs code in this process can still call `reveal`.
"""

from typing import Final, NoReturn

from doorward.errors import Misconfigured

MIN_SECRET_BYTES: Final = 16  # the echo guard would find shorter ones everywhere


class Secret:
    """Bytes of printable ASCII, kept out of repr, copies, pickles and comparisons by hash."""

    __slots__ = ("__value",)
    __hash__ = None  # type: ignore[assignment]  # a hash would tell two secrets apart in a log

    def __init__(self, value: bytes) -> None:
        self.__value = value

    def reveal(self) -> bytes:
        """The secret itself; for the wire and the echo guard, never for a message."""
        return self.__value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.__value == other.__value

    def __repr__(self) -> str:
        return "Secret(masked)"

    def __deepcopy__(self, _: object) -> NoReturn:
        raise TypeError("a secret is not copied")

    def __reduce_ex__(self, _: object) -> NoReturn:
        raise TypeError("a secret is not pickled")


def parse_secret(content: bytes, *, where: str) -> Secret:
    """The secret in what a file or variable holds, less one line end; raises Misconfigured."""
    value = content.removesuffix(b"\n").removesuffix(b"\r")
    if not all(0x20 <= byte < 0x7F for byte in value) or value != value.strip():
        raise Misconfigured(
            "the secret holds a control character, a second line, outer spaces or something outside of ASCII",
            cause="secret-unfit",
            where=where,
            hint="put one line of printable ASCII there; it becomes part of a header",
        )
    if len(value) < MIN_SECRET_BYTES:
        raise Misconfigured(
            f"the secret has {len(value)} bytes, expected {MIN_SECRET_BYTES} or more",
            cause="secret-too-short",
            where=where,
            hint="use a longer one; an answer that echoes a shorter one could not be told from chance",
        )
    return Secret(value)
