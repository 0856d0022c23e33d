"""What is said of one client; a run proves it, and docs/clients.md tells it."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One stock client. Texts are cells of the tables; lines are for bash, in a folder that holds `programs/`."""

    key: str  # in the ids of tests
    name: str  # as the tables have it, with {} for the version
    version: str  # a line that prints it
    suits: str = r"(\d+\.\d+)"  # found in what the line prints: the version; the row is about no other
    wants: tuple[str, ...] = ()  # commands that must be there
    modules: str = ""  # what of `end_to_end/pinned` it is installed from
    prepare: str = ""  # a line to run once before
    line: str = ""  # a line that makes requests, given METHOD URL and so on; each answer is printed, head and body

    proxy: str
    root: str
    http: str  # the version of HTTP in the tunnel
    bad_token: str  # what it says, in part
    shows_body: bool = True  # of a refusal, where the program asks for it
    keeps_alive: bool = True
    token_at_once: bool = True  # it does not ask for a tunnel without the token first
    goes_past: bool = False  # it asks hosts on loopback itself
    past: str = ""  # a line that is lacking what `proxy` says, and goes past the gateway
    but: str = ""  # what it cannot, or does otherwise than one expects

    def version_in(self, printed: str) -> str | None:
        """The version, if it is one that the row is about."""
        found = re.search(self.suits, printed)
        return found.group(1) if found else None
