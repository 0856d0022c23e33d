"""The policy of now: loaded from a folder, watched, and swapped only for one that is good.

A reload that fails keeps the last good policy, loudly: an entry and a line in the log. The
full text goes into the ledger before the first request is decided by it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

from doorward.core.policy import Policy
from doorward.core.policy_file import load_policy
from doorward.errors import DoorwardError, Misconfigured, Unavailable
from doorward.gateway.authorities import with_authorities
from doorward.model import NewEntry
from doorward.private_files import FileMark, file_mark
from doorward.settings import read_policy_files

_log = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0
_MOST_MESSAGE = 2000  # characters; an entry has 16 KiB

type Fingerprint = tuple[tuple[str, FileMark | None], ...]


class Policies:
    """Holds the current policy; call it to get it. `on_change` is told each one that comes into force."""

    def __init__(
        self,
        folder: Path,
        home: Path,
        issuers: Collection[str],
        credentials: Collection[str],
        append: Callable[[NewEntry], Awaitable[object]],
        accept: Callable[[Policy], None],
    ) -> None:
        self._folder = folder
        self._home = home  # of `doorward.yaml`
        self._issuers = issuers
        self._credentials = credentials
        self._append = append
        self._accept = accept  # may raise Misconfigured: a policy that cannot be served is not good
        self.on_change: Callable[[Policy], None] = lambda policy: None
        self._current: Policy | None = None
        self._seen: Fingerprint = ()

    def __call__(self) -> Policy:
        """The last good policy."""
        assert self._current is not None, "load() comes first"
        return self._current

    async def load(self) -> None:
        """Read, check, record, then swap; raises Misconfigured or Unavailable and leaves the last good in place."""
        looked = self._look()
        texts = read_policy_files(self._folder)
        policy = load_policy(texts, issuers=self._issuers, credentials=self._credentials)
        if not policy.targets:  # a file that an editor has emptied and not yet written
            raise Misconfigured("the policy has no targets", where=str(self._folder), hint="name at least one")
        policy = with_authorities(policy, self._home)
        self._accept(policy)
        if self._current is not None and policy.digest == self._current.digest:
            self._seen = looked
            return
        bodies = {name: text.encode() for name, text in texts.items()}
        await self._append(NewEntry("policy.loaded", {"policy": policy.digest, "files": [*sorted(texts)]}, bodies))
        self._current, self._seen = policy, looked
        _log.warning("policy %s is in force", policy.digest[:12])
        self.on_change(policy)

    async def reload(self) -> None:
        """As `load`, for a policy in service: what is wrong is recorded and said, not raised."""
        looked = self._look()
        try:
            await self.load()
        except Unavailable as error:
            _log.error("the policy could not be recorded, and is tried again: %s", error)
        except DoorwardError as error:
            _log.error("the policy was not reloaded, the last good one stays in force: %s", error)
            rejected = NewEntry("policy.rejected", {"cause": error.cause, "message": str(error)[:_MOST_MESSAGE]})
            try:
                await self._append(rejected)
            except DoorwardError as failure:
                _log.error("the rejection could not be recorded, and is tried again: %s", failure.cause)
            else:
                self._seen = looked  # wrong until somebody changes it

    async def watch_for_ever(self) -> None:
        """Reload whenever a file of the folder changed; cancelled at the stop."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            if self._look() != self._seen:
                await self.reload()

    def _look(self) -> Fingerprint:
        return tuple((file.name, file_mark(file)) for file in sorted(self._folder.glob("*.yaml")))
