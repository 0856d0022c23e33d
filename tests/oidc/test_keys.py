import asyncio
import logging
from datetime import UTC, datetime, timedelta

import pytest

from doorward.oidc.issuer import Issuer
from doorward.oidc.keys import KeyRing, KeyTiming, Providers
from tests.parts.provider import Provider

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SLOW = KeyTiming(refresh_s=60, retry_s=60, retry_most_s=60, forced_every_s=60, timeout_s=1)


def providers_of(provider: Provider, timing: KeyTiming) -> Providers:
    return Providers([Issuer("corp", provider.url, "doorward")], timing=timing, clock=lambda: NOW)


def kids(ring: KeyRing) -> list[str | None]:
    snapshot = ring.snapshot(NOW)
    return [] if snapshot is None else [key.kid for key in snapshot.keys]


async def until(condition: object, *, timeout_s: float = 5) -> None:
    assert callable(condition)
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


async def test_after_the_start_the_keys_are_there(provider: Provider) -> None:
    async with providers_of(provider, SLOW) as providers:
        ring = providers.rings["corp"]
        assert kids(ring) == ["RS256-0"]
        assert ring.metadata is not None
        assert ring.problem == ""
        await ring.first_round()


async def test_keys_are_read_again_before_they_age(provider: Provider) -> None:
    async with providers_of(provider, KeyTiming(refresh_s=0.05)) as providers:
        provider.rotate("ES256")
        await until(lambda: kids(providers.rings["corp"]) == ["ES256-1"])


async def test_the_same_keys_are_the_same_snapshot(provider: Provider) -> None:
    async with providers_of(provider, KeyTiming(refresh_s=0.02)) as providers:
        ring = providers.rings["corp"]
        first = ring.snapshot(NOW)
        await until(lambda: provider.requests.count("GET /jwks") >= 3)
        assert ring.snapshot(NOW) is first


async def test_asking_is_limited_in_rate(provider: Provider) -> None:
    async with providers_of(provider, SLOW) as providers:
        ring = providers.rings["corp"]
        provider.rotate("ES256", keep_old=True)
        assert await ring.refreshed(wait_s=2)
        assert kids(ring) == ["RS256-0", "ES256-1"]
        assert not ring.ask()
        assert not await ring.refreshed(wait_s=2)
        assert provider.requests.count("GET /jwks") == 2


async def test_many_who_wait_share_one_fetch(provider: Provider) -> None:
    async with providers_of(provider, SLOW) as providers:
        ring = providers.rings["corp"]
        provider.delay_s = 0.1
        assert all(await asyncio.gather(*(ring.refreshed(wait_s=2) for _ in range(20))))
        assert provider.requests.count("GET /jwks") == 2


async def test_who_comes_while_a_fetch_runs_waits_for_it(provider: Provider) -> None:
    async with providers_of(provider, SLOW) as providers:
        ring = providers.rings["corp"]
        provider.delay_s = 0.1
        assert ring.ask()
        await asyncio.sleep(0.05)
        assert await ring.refreshed(wait_s=2)


async def test_waiting_has_an_end(provider: Provider) -> None:
    async with providers_of(provider, SLOW) as providers:
        provider.delay_s = 0.3
        assert not await providers.rings["corp"].refreshed(wait_s=0.05)


async def test_the_loop_does_not_stand_still_while_a_provider_is_slow(provider: Provider) -> None:
    provider.delay_s = 0.3
    longest = 0.0
    async with providers_of(provider, SLOW) as providers:
        waiting = asyncio.create_task(providers.rings["corp"].refreshed(wait_s=2))
        loop = asyncio.get_running_loop()
        while not waiting.done():
            before = loop.time()
            await asyncio.sleep(0.005)
            longest = max(longest, loop.time() - before)
    assert longest < 0.25


async def test_the_start_waits_for_a_silent_provider_only_so_long(provider: Provider) -> None:
    provider.delay_s = 0.5
    providers = providers_of(provider, SLOW)
    await providers.start(wait_s=0.05)
    assert providers.rings["corp"].snapshot(NOW) is None
    assert providers.rings["corp"].problem == "the provider was not asked yet"
    await providers.stop()


async def test_an_absent_provider_is_tried_again_and_again(provider: Provider) -> None:
    provider.go_away()
    async with providers_of(provider, KeyTiming(retry_s=0.01, retry_most_s=0.05, timeout_s=1)) as providers:
        ring = providers.rings["corp"]
        assert kids(ring) == []
        assert "could not be reached" in ring.problem
        assert ring.hint
        provider.come_back()
        await until(lambda: kids(ring) == ["RS256-0"])
        assert ring.problem == ""


async def test_the_last_good_keys_serve_until_the_cap(provider: Provider) -> None:
    async with providers_of(provider, KeyTiming(refresh_s=0.02, retry_s=0.02, timeout_s=1)) as providers:
        ring = providers.rings["corp"]
        provider.jwks = {"keys": []}
        await until(lambda: ring.problem)
        assert "no key" in ring.problem
        assert kids(ring) == ["RS256-0"]
        assert ring.snapshot(NOW + timedelta(hours=24)) is not None
        assert ring.snapshot(NOW + timedelta(hours=24, seconds=1)) is None


async def test_a_failure_is_logged_once(provider: Provider, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "doorward.oidc")
    provider.status = 500
    async with providers_of(provider, KeyTiming(retry_s=0.01, retry_most_s=0.01)) as providers:
        await until(lambda: len(provider.requests) > 4)
        provider.status = 200
        await until(lambda: kids(providers.rings["corp"]))
    assert [record.levelname for record in caplog.records if record.name == "doorward.oidc"] == ["WARNING", "INFO"]
    assert "answered 500" in caplog.text


async def test_an_unforeseen_failure_does_not_end_the_task(provider: Provider) -> None:
    times: list[datetime] = []

    def clock() -> datetime:
        times.append(NOW)
        if len(times) == 1:
            raise RuntimeError("the clock is broken")
        return NOW

    issuer = Issuer("corp", provider.url, "doorward")
    async with Providers([issuer], timing=KeyTiming(retry_s=0.01), clock=clock) as providers:
        await until(lambda: kids(providers.rings["corp"]))
    assert len(times) == 2


async def test_without_issuers_there_is_nothing_to_do() -> None:
    async with Providers([]) as providers:
        assert not providers.rings
