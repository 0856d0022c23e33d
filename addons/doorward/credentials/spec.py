"""What the settings say of a credential: its header, the form of the value, where the secret is.

Checked when made; holds no secret. The gateway's chain makes it from the settings.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from doorward.errors import Misconfigured

PLACE: Final = "{secret}"
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
# Headers that frame or route the request: a credential in one of them would be something else.
_NOT_FOR_SECRETS: Final = re.compile(
    r"host|content-.*|transfer-encoding|connection|keep-alive|te|trailer|upgrade|expect|proxy-.*|doorward-.*", re.I
)


@dataclass(frozen=True, slots=True)
class CredentialSpec:
    """One credential of the settings; raises Misconfigured when made of values that cannot work."""

    alias: str
    header: str
    template: str  # of the header's value, with {secret} in it once
    file: Path | None = None
    env: str | None = None

    def __post_init__(self) -> None:
        if not _TOKEN.fullmatch(self.header) or _NOT_FOR_SECRETS.fullmatch(self.header):
            raise self._wrong(f"the header {self.header!r} cannot carry a credential", "Authorization is the usual one")
        plain = self.template.isascii() and self.template.isprintable() and self.template == self.template.strip()
        if self.template.count(PLACE) != 1 or not plain:
            raise self._wrong(
                "the value must be one line of ASCII with {secret} in it once", 'write it as "Bearer {secret}"'
            )
        if (self.file is None) == (self.env is None):
            raise self._wrong("exactly one of file and env must be named", "write secret: {file: secrets/name}")

    def _wrong(self, problem: str, hint: str) -> Misconfigured:
        return Misconfigured(f"credential '{self.alias}': {problem}", cause="credential-spec", hint=hint)
