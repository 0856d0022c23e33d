"""Every error that doorward raises on purpose.

    DoorwardError            message, hint, cause; HTTP status and exit code by class
    ├── Refused              403  1  policy says no, or a state of a hold forbids it
    │   ├── Unauthenticated  407  1  no identity at the proxy, or one that is not good
    │   ├── Unclear          400  1  malformed, or two readers could take it differently
    │   ├── TooLarge         413  1  a limit of `limits:` is passed
    │   ├── WriteBack        422  1  a written body carries the deployment's sentinel
    │   ├── Conflict         409  1  used already, decided already
    │   ├── TooSlow          408  1  a head or a handshake did not come in time
    │   └── TooMany          429  1  a limit on open holds, connections or bodies at once is reached
    ├── Withheld             502  1  an answer that could not be cleared for the agent
    ├── TargetFailed         502  3  the target could not be reached, or answered no HTTP
    ├── Unavailable          503  3  the ledger, a provider or a disk is away; retry helps
    └── Misconfigured        500  2  settings or a policy file are wrong (file, line, hint)

A class exists only where somebody handles it apart. `cause` is a stable slug
(`token-expired`) which entries and clients may rely on; `message` is for people, lower
case, without a full stop; `hint` says what to do next. No secret, and no text of a
target, stands in any of them.
"""

from typing import ClassVar


class DoorwardError(Exception):
    """Base of the family; catch it only where every member is treated alike."""

    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 3

    def __init__(self, message: str, *, cause: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; hint: {self.hint}" if self.hint else self.message


class Refused(DoorwardError):
    """A rule says no."""

    status = 403
    exit_code = 1


class Unauthenticated(Refused):
    """Nobody we know stands behind the request."""

    status = 407


class Unclear(Refused):
    """Malformed, or open to two readings."""

    status = 400


class TooLarge(Refused):
    """A configured limit is passed."""

    status = 413


class WriteBack(Refused):
    """A written body would destroy what a mask hid."""

    status = 422


class Conflict(Refused):
    """The thing was used or decided before."""

    status = 409


class TooSlow(Refused):
    """What had to come did not come in time."""

    status = 408


class TooMany(Refused):
    """There are as many of something at once as there may be."""

    status = 429


class Withheld(DoorwardError):
    """An answer that cannot be cleared stays here."""

    status = 502
    exit_code = 1


class TargetFailed(DoorwardError):
    """The target could not be reached or did not answer in HTTP."""

    status = 502


class Unavailable(DoorwardError):
    """A part that the request needs is away; the same request may work later."""

    status = 503


class Misconfigured(DoorwardError):
    """Settings, a policy or a key file are wrong; `where` is `file:line` if known."""

    exit_code = 2

    def __init__(self, message: str, *, cause: str = "misconfigured", hint: str = "", where: str = "") -> None:
        super().__init__(f"{where}: {message}" if where else message, cause=cause, hint=hint)
        self.where = where
