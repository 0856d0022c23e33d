"""The words of doorward as values: what the rooms hand each other.

Frozen, slotted, without behaviour beyond names derived from their own fields. Persons and
agents are written `ISSUER-ALIAS:VALUE` everywhere, groups alike (`corp:agents`). Times are
aware and UTC. Nothing in here holds a credential.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

type Json = bool | int | float | str | list[Json] | tuple[Json, ...] | Mapping[str, Json] | None


class Risk(enum.IntEnum):
    """How much harm one action can do; ordered."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3


class Verdict(enum.StrEnum):
    """What the policy says of one action."""

    ALLOW = "allow"
    HOLD = "hold"
    DENY = "deny"


class HoldState(enum.StrEnum):
    """Where a hold stands; the legal transitions are in core/holds.py."""

    OPEN = "open"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    USED = "used"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who acts: an agent, or a person who logged in at the console."""

    issuer: str  # alias from doorward.yaml
    subject: str  # the token's `sub`
    groups: tuple[str, ...] = ()  # qualified: "corp:agents"
    owner: str | None = None  # qualified name of the person the agent runs for

    @property
    def name(self) -> str:
        """The qualified name, as bindings and entries write it."""
        return f"{self.issuer}:{self.subject}"


@dataclass(frozen=True, slots=True)
class Target:
    """One system behind the gateway, as a policy file describes it."""

    name: str
    scheme: Literal["http", "https"]  # of the way to the target
    host: str  # lower case; of `url`
    port: int
    hosts: tuple[tuple[str, int], ...]  # names and ports under which agents may ask for it
    ca: str | None = None  # path of a PEM file; None is the system's store
    credential: str | None = None  # alias from doorward.yaml
    plaintext: bool = False  # `plaintext: true`: clear HTTP off loopback is accepted
    cookies: bool = False  # `cookies: pass`
    encoded_slash: bool = False  # `encoded_slash: allow`
    repeated_query: bool = False  # `repeated_query: allow`
    record_bodies: bool = True  # False: `record: headers`

    @property
    def url(self) -> str:
        """The target's URL without a path."""
        return f"{self.scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Action:
    """The one reading of a request that policy, digest, page and entry share."""

    principal: Principal
    target: str
    target_url: str
    protocol: Literal["http"]
    verb: str  # the method, upper case
    path: str  # strictly decoded, "/v1/customers/1"
    raw_path: str  # as it goes on the wire, without the query
    query: tuple[tuple[str, str], ...]  # decoded pairs, in order
    raw_query: str  # as it goes on the wire, without "?"
    headers: tuple[tuple[str, str], ...]  # what is forwarded, names lower case, in order
    body_digest: str  # SHA-256, hex, of the body after content-decoding
    risk: Risk
    open_ended: bool = False  # stays open after the yes (an upgrade)


@dataclass(frozen=True, slots=True)
class Approvers:
    """Who may answer a hold: any listed person, or any member of a listed group."""

    groups: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ask:
    """What one matching hold rule asks for."""

    rule: str
    approvers: Approvers
    count: int
    expires_s: int


@dataclass(frozen=True, slots=True)
class Decision:
    """The policy's answer, with every rule that took part in it."""

    verdict: Verdict
    reason: str
    rules: tuple[str, ...] = ()
    asks: tuple[Ask, ...] = ()  # not empty exactly when the verdict is HOLD
    masks: tuple[str, ...] = ()  # names of the mask rules that apply to this exchange
    risk: Risk = Risk.LOW


@dataclass(frozen=True, slots=True)
class Approval:
    """One person's yes or no to one hold."""

    person: str
    groups: tuple[str, ...]
    verdict: Literal["approve", "deny"]
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Hold:
    """An action that waits for people."""

    id: str
    state: HoldState
    digest: str
    principal: str
    owner: str | None
    target: str
    asks: tuple[Ask, ...]
    opened_at: datetime
    expires_at: datetime  # while open: to decide; once approved: to use
    request: str  # id of the request that opened it
    approvals: tuple[Approval, ...] = ()
    used_by: str | None = None  # id of the request that used it
    summary: Mapping[str, Json] = field(default_factory=dict)  # masked: verb, target, path, risk, rules


@dataclass(frozen=True, slots=True)
class Block:
    """A principal that may do nothing until somebody says otherwise."""

    principal: str
    person: str  # who did it: a user of the gateway's machine, "os/alice"
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Mask:
    """One field that was replaced: which rule, where, by what, how often."""

    rule: str
    path: str  # of the field, positions left out: $['customers'][*]['email']
    replacement: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class NewEntry:
    """Something that happened, on its way to the ledger, which adds seq and time."""

    kind: str
    fields: Mapping[str, Json]
    bodies: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger, as read back."""

    seq: int
    time: datetime
    kind: str
    fields: Mapping[str, Json]
