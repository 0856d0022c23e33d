"""A secret in a variable of the environment, which stays as it was when the process began."""

import os

from doorward.credentials.secret import Secret, parse_secret
from doorward.errors import Misconfigured


class EnvironmentSecret:
    """Reads one variable, once."""

    def __init__(self, name: str) -> None:
        self._name = name

    def changed(self) -> bool:
        """Never: a change of a running process's environment is nobody's intent."""
        return False

    def read(self) -> Secret:
        """The secret; raises Misconfigured."""
        value = os.environ.get(self._name)
        if value is None:
            raise Misconfigured(
                f"the variable {self._name} is not set",
                cause="secret-absent",
                hint="set it for the process that runs doorward, or use a file",
            )
        return parse_secret(value.encode("utf-8", "surrogateescape"), where=f"variable {self._name}")
