"""The keys of each provider, kept fresh in the background and read without waiting.

Verification reads a snapshot; it never fetches, so a slow provider cannot stop the event
loop. A task for each issuer fetches discovery and keys before they age, at once when a token
names an unknown key (but not oftener than `forced_every_s`), and again and again while the
provider is away. The last good keys serve until `keep_s` has passed.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final, Self

import httpx

from doorward.errors import DoorwardError
from doorward.oidc.discovery import ProviderMetadata, discover, fetch_document, provider_client
from doorward.oidc.issuer import Issuer
from doorward.oidc.jwks import VerificationKey, parse_jwks

_log: Final = logging.getLogger("doorward.oidc")
_MOST_CANDIDATES: Final = 8  # what a token without a key's name may make us try


@dataclass(frozen=True, slots=True)
class KeyTiming:
    """When keys are fetched, and how long they serve; in seconds."""

    refresh_s: float = 300.0
    retry_s: float = 1.0  # after a failure; doubled at each further one, up to retry_most_s
    retry_most_s: float = 30.0
    forced_every_s: float = 10.0  # between two fetches that tokens with unknown keys may cause
    keep_s: float = 24 * 3600.0
    timeout_s: float = 5.0


@dataclass(frozen=True, slots=True)
class KeySnapshot:
    """What a provider published at one time. The same object stays while the same keys are published."""

    keys: tuple[VerificationKey, ...]

    def candidates(self, kid: str | None, algorithm: str) -> tuple[VerificationKey, ...]:
        """The keys that may have signed a token with this header; keys without a name fit every name."""
        fitting = [
            key
            for key in self.keys
            if algorithm in key.algorithms and (kid is None or key.kid is None or key.kid == kid)
        ]
        fitting.sort(key=lambda key: key.kid != kid)
        return tuple(fitting[:_MOST_CANDIDATES])

    def knows(self, kid: str | None) -> bool:
        """Whether a key of just this name is there."""
        return kid is not None and any(key.kid == kid for key in self.keys)


class KeyRing:
    """One issuer's keys; `run` keeps them, everything else only reads."""

    def __init__(
        self, issuer: Issuer, client: httpx.AsyncClient, *, timing: KeyTiming, clock: Callable[[], datetime]
    ) -> None:
        self.issuer = issuer
        self.metadata: ProviderMetadata | None = None
        self.problem = "the provider was not asked yet"  # of the last fetch; empty when it went well
        self.hint = ""
        self._client = client
        self._timing = timing
        self._clock = clock
        self._snapshot: KeySnapshot | None = None
        self._published: object = None
        self._fetched_at: datetime | None = None
        self._forced_at_s = float("-inf")
        self._tried = False
        self._fetching = False
        self._asked = asyncio.Event()
        self._round = asyncio.Event()  # set, and replaced, when a fetch is over

    def snapshot(self, now: datetime) -> KeySnapshot | None:
        """The last good keys, or None if there are none, or none young enough."""
        if self._fetched_at is None or (now - self._fetched_at).total_seconds() > self._timing.keep_s:
            return None
        return self._snapshot

    def ask(self) -> bool:
        """Have the keys fetched soon; False if that was done too recently."""
        now_s = time.monotonic()
        if now_s - self._forced_at_s < self._timing.forced_every_s:
            return False
        self._forced_at_s = now_s
        self._asked.set()
        return True

    async def refreshed(self, *, wait_s: float) -> bool:
        """Ask for the keys and wait for them; False if that was not allowed or took longer."""
        round_over = self._round
        if not self.ask() and not self._asked.is_set() and not self._fetching:
            return False
        try:
            async with asyncio.timeout(wait_s):
                await round_over.wait()
        except TimeoutError:
            return False
        return not self.problem

    async def run(self) -> None:
        """Fetch for ever; ends only by being cancelled."""
        failures = 0
        while True:
            self._asked.clear()
            self._fetching = True
            failures = 0 if await self._fetch() else failures + 1
            self._fetching, self._tried = False, True
            self._round.set()
            self._round = asyncio.Event()
            pause_s = self._timing.refresh_s
            if failures:
                pause_s = min(self._timing.retry_most_s, self._timing.retry_s * 2 ** min(failures - 1, 10))
            try:
                async with asyncio.timeout(pause_s):
                    await self._asked.wait()
            except TimeoutError:
                continue

    async def first_round(self) -> None:
        """Return when the provider was asked once, with whatever outcome."""
        if not self._tried:
            await self._round.wait()

    async def _fetch(self) -> bool:
        timeout_s = self._timing.timeout_s
        try:
            metadata = await discover(self._client, self.issuer.url, timeout_s=timeout_s)
            request = httpx.Request("GET", metadata.jwks_uri)
            document = await fetch_document(self._client, request, timeout_s=timeout_s)
            keys = None if document == self._published else parse_jwks(document)
            fetched_at = self._clock()
        except DoorwardError as error:
            self._failed(error.message, error.hint)
            return False
        except Exception as error:  # a task that died here would let the keys age without a word
            self._failed(f"the fetch failed ({type(error).__name__})", "report this; it is not expected")
            return False
        if keys is not None:
            self._published, self._snapshot = document, KeySnapshot(keys)
            _log.info("read %d keys of the issuer '%s'", len(keys), self.issuer.alias)
        self.metadata, self._fetched_at = metadata, fetched_at
        self.problem = self.hint = ""
        return True

    def _failed(self, problem: str, hint: str) -> None:
        if problem != self.problem:
            _log.warning("cannot read the keys of the issuer '%s': %s", self.issuer.alias, problem)
        self.problem, self.hint = problem, hint


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Providers:
    """The key rings of all issuers, with the tasks that keep them and the one HTTP client."""

    def __init__(
        self,
        issuers: Iterable[Issuer],
        *,
        timing: KeyTiming | None = None,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        timing = timing or KeyTiming()
        self.client = provider_client(timeout_s=timing.timeout_s)
        self.rings: Mapping[str, KeyRing] = MappingProxyType(
            {issuer.alias: KeyRing(issuer, self.client, timing=timing, clock=clock) for issuer in issuers}
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, *, wait_s: float = 5.0) -> None:
        """Start the fetching and give every provider `wait_s` to answer once; a provider that is away is no error."""
        self._tasks = [asyncio.create_task(ring.run(), name=f"keys of {alias}") for alias, ring in self.rings.items()]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                for ring in self.rings.values():
                    await ring.first_round()

    async def stop(self) -> None:
        """End the fetching and close the connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.client.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
