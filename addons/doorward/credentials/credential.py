"""A target's credential, current at each request, without showing itself.

Joins a specification with the place of its secret. Only gateway.chain imports this room; it
hands the value to `inject` and the secrets to the echo guard. If a changed secret cannot be
read, there is no credential: sending the one that was meant to be replaced is worse.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final, NoReturn, Protocol

from doorward.credentials.env import EnvironmentSecret
from doorward.credentials.file import FileSecret
from doorward.credentials.secret import Secret
from doorward.credentials.spec import PLACE, CredentialSpec
from doorward.errors import Misconfigured, Unavailable

__all__ = ["Credential", "CredentialSource", "CredentialSpec"]

_GENERATION_DIGITS: Final = 16


class SecretPlace(Protocol):
    """Where a secret stands."""

    def changed(self) -> bool:
        """Whether `read` may give another secret than before."""

    def read(self) -> Secret:
        """The secret; raises Misconfigured."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A header for the wire, and what the echo guard must look for."""

    alias: str
    header: str
    value: Secret = field(repr=False)  # the whole value of the header
    generation: str  # changes with the secret and tells nothing about it; the same after a restart
    secrets: tuple[bytes, ...] = field(repr=False)  # the current one, and the one before it if there was one

    def reveal(self) -> str:
        """The header's value for the wire."""
        return self.value.reveal().decode("ascii")

    def __deepcopy__(self, _: object) -> NoReturn:
        raise TypeError("a credential is not copied")

    def __reduce_ex__(self, _: object) -> NoReturn:
        raise TypeError("a credential is not pickled")


class CredentialSource:
    """Gives one credential, as it is now."""

    def __init__(self, spec: CredentialSpec, deployment_key: bytes) -> None:
        self.alias = spec.alias
        self._spec = spec
        self._key = deployment_key
        self._place: SecretPlace = FileSecret(spec.file) if spec.file else EnvironmentSecret(spec.env or "")
        self._current: Credential | None = None

    def __repr__(self) -> str:
        place = self._spec.file or f"variable {self._spec.env}"
        return f"CredentialSource({self.alias!r}, {str(place)!r})"

    def load(self) -> Credential:
        """The credential; raises Misconfigured the first time, and later Unavailable (`credential-unreadable`)."""
        if self._current is not None and not self._place.changed():
            return self._current
        try:
            secret = self._place.read()
        except Misconfigured as error:
            if self._current is None:
                raise
            # What is wrong with which file goes to the log alone: the message goes to the agent.
            raise Unavailable(
                f"the credential '{self.alias}' cannot be read",
                cause="credential-unreadable",
                hint="tell the operator; `doorward check` says what is wrong with it",
            ) from error
        self._current = self._credential(secret)
        return self._current

    def _credential(self, secret: Secret) -> Credential:
        now, known = secret.reveal(), self._current.secrets if self._current else ()
        last = known[1:] if known[:1] == (now,) else known[:1]
        value = self._spec.template.replace(PLACE, now.decode("ascii"))
        return Credential(
            self.alias, self._spec.header, Secret(value.encode("ascii")), self._generation(now), (now, *last)
        )

    def _generation(self, secret: bytes) -> str:
        mac = hmac.new(self._key, b"generation\0" + secret, hashlib.sha256)
        return mac.hexdigest()[:_GENERATION_DIGITS]
