"""What goes over a channel to the ledger and back: typed frames, in msgpack.

A frame is a length (4 bytes, big endian) and that many bytes of msgpack. The first frame
of a client is `Hello`, the ledger's answer `Welcome`; then requests are numbered by the
client and answered in any order. Both sides of `channel` use this; the values that callers
see (`Appended`, `HoldRequest`, `HoldAnswer`) stand here too.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from doorward.core.entry import Role
from doorward.errors import Conflict, DoorwardError, Refused, TooLarge, TooMany, Unavailable
from doorward.model import Approval, Ask, Block, Hold, HoldState, Json, Principal

VERSION: Final = 1
MAX_FRAME_BYTES: Final = 64 * 1024 * 1024
LENGTH: Final = struct.Struct(">I")

MOST_BODIES: Final = 100  # at once; an entry that names them has 16 KiB
MOST_HEADS: Final = 1000

type HoldOutcome = Literal["opened", "joined", "approved", "repeated"]


@dataclass(frozen=True, slots=True)
class Appended:
    """Durable: the numbers of the entries, in order, and their time."""

    seqs: tuple[int, ...]
    time: datetime


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """An action that must wait, as the gateway asks the ledger to hold it."""

    digest: str
    principal: str
    owner: str | None
    target: str
    request: str
    asks: tuple[Ask, ...]
    summary: Mapping[str, Json]  # masked; `verb` and `risk`, if text, also stand in the entry
    bodies: Mapping[str, bytes] = field(default_factory=dict)  # request_head, request_body; masked
    repeat_s: int = 600  # a used digest that comes again within this time is `repeated`; a day at most
    open_per_principal: int = 20


@dataclass(frozen=True, slots=True)
class HoldAnswer:
    """What became of a HoldRequest: `repeated` means that `hold.used_by` went out with it already."""

    hold: Hold
    outcome: HoldOutcome


class Frame(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Root of all frames."""


class Hello(Frame, frozen=True):
    """First frame of a client: what it takes the channel for."""

    role: Role
    version: int


class NewEntryFrame(msgspec.Struct, frozen=True, array_like=True):
    """One entry on its way in."""

    kind: str
    fields: dict[str, Any]
    bodies: dict[str, bytes]


class Request(Frame, frozen=True):
    """Root of what a client asks; `id` comes back in the answer."""

    id: int


class Append(Request, frozen=True):
    """Write these entries in one transaction."""

    entries: list[NewEntryFrame]


class OpenHold(Request, frozen=True):
    """Open a hold, or join the one that is there."""

    digest: str
    principal: str
    owner: str | None
    target: str
    request: str
    asks: tuple[Ask, ...]
    summary: dict[str, Any]
    bodies: dict[str, bytes]
    repeat_s: int
    open_per_principal: int


class DecideHold(Request, frozen=True):
    """One person's answer to one hold."""

    hold: str
    person: Principal
    verdict: Literal["approve", "deny"]
    reason: str
    digest: str


class SetBlock(Request, frozen=True):
    """Block a principal, or end its block; who asks is told by the socket."""

    principal: str
    is_block: bool
    reason: str


class ListBlocks(Request, frozen=True):
    """Give the blocks that stand."""


class ReadBody(Request, frozen=True):
    """Give a stored body, after recording who reads it and why."""

    digest: str
    reader: str
    why: str
    request: str | None


class ReadHead(Request, frozen=True):
    """Give a stored head (masked URL and headers), as lists show it; this is not recorded."""

    digest: str


class ReadBodies(Request, frozen=True):
    """Give many stored bodies, after recording in one entry who reads them and why."""

    digests: list[str]
    reader: str
    why: str


class ReadHeads(Request, frozen=True):
    """Give many stored heads; this is not recorded."""

    digests: list[str]


class WaitHold(Request, frozen=True):
    """Answer once the hold is open no longer, or the time is over."""

    hold: str
    timeout_s: float


class ListHolds(Request, frozen=True):
    """Give the known holds."""

    state: HoldState | None


class ShowHold(Request, frozen=True):
    """Give one hold."""

    hold: str


class Subscribe(Request, frozen=True):
    """Push entries from now on; answered only if it fails."""


type Read = ListHolds | ShowHold | WaitHold | ListBlocks
type Requested = (
    Append | OpenHold | DecideHold | SetBlock | ReadBody | ReadHead | ReadBodies | ReadHeads | Read | Subscribe
)


class Welcome(Frame, frozen=True):
    """The ledger takes requests on this channel."""


class AppendedFrame(Request, frozen=True):
    """Answer to Append."""

    seqs: tuple[int, ...]
    time: datetime


class HoldFrame(msgspec.Struct, frozen=True, array_like=True):
    """A hold on the wire: `Hold`, with a summary that msgspec can read."""

    id: str
    state: HoldState
    digest: str
    principal: str
    owner: str | None
    target: str
    asks: tuple[Ask, ...]
    opened_at: datetime
    expires_at: datetime
    request: str
    approvals: tuple[Approval, ...]
    used_by: str | None
    summary: dict[str, Any]


class HoldsFrame(Request, frozen=True):
    """Answer to whatever asks for holds."""

    holds: tuple[HoldFrame, ...]
    outcome: str


class BlocksFrame(Request, frozen=True):
    """Answer to ListBlocks: as of the entry `seq`; what was pushed after it counts beside it."""

    blocks: tuple[Block, ...]
    seq: int


class BodyFrame(Request, frozen=True):
    """Answer to ReadBody and ReadHead."""

    body: bytes


class BodiesFrame(Request, frozen=True):
    """Answer to ReadBodies and ReadHeads, in the order of the digests; None for what is not there (any more)."""

    bodies: list[bytes | None]


class Failed(Request, frozen=True):
    """The request failed, by itself or with its whole batch."""

    error: str
    message: str
    cause: str
    hint: str


class Pushed(Frame, frozen=True):
    """A committed entry, to a subscriber."""

    seq: int
    time: datetime
    kind: str
    fields: dict[str, Any]


class Gap(Frame, frozen=True):
    """A subscriber was too slow, and some entries were not pushed to it."""


type FromClient = Hello | Requested
type FromLedger = Welcome | AppendedFrame | HoldsFrame | BlocksFrame | BodyFrame | BodiesFrame | Failed | Pushed | Gap

_ERRORS: Final = {error.__name__: error for error in (Refused, TooLarge, Conflict, TooMany, Unavailable)}


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"no frame holds a {type(value).__name__}")


_ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=_plain)
_FROM_CLIENT: Final[msgspec.msgpack.Decoder[FromClient]] = msgspec.msgpack.Decoder(FromClient)
_FROM_LEDGER: Final[msgspec.msgpack.Decoder[FromLedger]] = msgspec.msgpack.Decoder(FromLedger)


def format_frame(frame: Frame) -> bytes:
    """Return the bytes of a frame, with its length; raises TooLarge, or Refused for values that no frame holds."""
    try:
        payload = _ENCODER.encode(frame)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Refused("a value that no frame can hold", cause="entry-malformed") from error
    if len(payload) > MAX_FRAME_BYTES:
        raise TooLarge(f"a frame of {len(payload)} bytes, the limit is {MAX_FRAME_BYTES}", cause="frame-too-large")
    return LENGTH.pack(len(payload)) + payload


def parse_from_client(payload: bytes | memoryview) -> FromClient:
    """Return a client's frame; raises Refused if it is none."""
    return _parse(_FROM_CLIENT, payload)


def parse_from_ledger(payload: bytes | memoryview) -> FromLedger:
    """Return the ledger's frame; raises Refused if it is none."""
    return _parse(_FROM_LEDGER, payload)


def _parse[T](decoder: msgspec.msgpack.Decoder[T], payload: bytes | memoryview) -> T:
    try:
        return decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise Refused("a malformed frame", cause="frame-malformed") from error


def format_hold(hold: Hold) -> HoldFrame:
    """Return the hold as it goes over a channel."""
    return HoldFrame(**{name: getattr(hold, name) for name in HoldFrame.__struct_fields__})


def parse_hold(frame: HoldFrame) -> Hold:
    """Return the hold that a frame carries."""
    return Hold(**{name: getattr(frame, name) for name in HoldFrame.__struct_fields__})


def format_error(request_id: int, error: DoorwardError) -> Failed:
    """Return the error as an answer; what the client does not know by name becomes Unavailable."""
    name = type(error).__name__
    return Failed(request_id, name if name in _ERRORS else "Unavailable", error.message, error.cause, error.hint)


def parse_error(frame: Failed) -> DoorwardError:
    """Return the error that an answer carries."""
    return _ERRORS.get(frame.error, Unavailable)(frame.message, cause=frame.cause, hint=frame.hint)
