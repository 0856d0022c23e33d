import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from doorward.core.policy import Policy
from doorward.errors import Misconfigured, Unavailable
from doorward.gateway import policies as module
from doorward.gateway.policies import Policies
from doorward.ledger.client import LedgerClient
from doorward.settings import read_policy_files
from tests.ledger.conftest import RunningLedger
from tests.parts.policies import policy_for
from tests.parts.raw_target import RawTarget


class Folder:
    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()

    def write(self, policy: dict[str, Any] | str, name: str = "policy.yaml") -> None:
        (self.path / name).write_text(policy if isinstance(policy, str) else json.dumps(policy))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path / "policies")
    made.write(policy_for(RawTarget()))
    return made


@pytest.fixture
async def policies(folder: Folder, worker: LedgerClient) -> AsyncIterator[Policies]:
    accepted: list[Policy] = []
    made = Policies(folder.path, folder.path.parent, ["corp"], ["target-token"], worker.append, accepted.append)
    await made.load()
    yield made
    assert accepted


def other() -> dict[str, Any]:
    policy = policy_for(RawTarget())
    del policy["masks"]
    return policy


async def test_the_text_is_in_the_ledger_before_it_counts(policies: Policies, ledger: RunningLedger) -> None:
    (loaded,) = ledger.entries()
    assert loaded.kind == "policy.loaded"
    assert loaded.fields["policy"] == policies().digest
    bodies: Any = loaded.fields["bodies"]
    assert list(bodies) == ["policy.yaml"]


async def test_a_good_change_is_swapped_in(policies: Policies, folder: Folder, ledger: RunningLedger) -> None:
    before = policies()
    folder.write(other())
    await policies.reload()
    assert policies() is not before
    assert policies().masks == ()
    assert ledger.kinds() == ["policy.loaded", "policy.loaded"]
    await policies.reload()
    assert len(ledger.kinds()) == 2  # the same text again is no news


BROKEN: dict[str, tuple[str, str]] = {
    "no YAML": ("policy.yaml", "targets: ["),
    "an unknown key": ("policy.yaml", json.dumps(policy_for(RawTarget()) | {"grants": []})),
    "a name twice": ("second.yaml", json.dumps({"targets": policy_for(RawTarget())["targets"]})),
    "no UTF-8": ("policy.yaml", ""),
    "empty": ("policy.yaml", " "),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_broken_change_keeps_the_last_good_one_loudly(
    policies: Policies, folder: Folder, ledger: RunningLedger, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = policies()
    name, text = BROKEN[case]
    folder.write(text, name)
    if case == "no UTF-8":
        (folder.path / name).write_bytes(b"\xff\xfe")
    await policies.reload()
    assert policies() is before
    rejected = ledger.entries()[-1]
    assert rejected.kind == "policy.rejected"
    assert rejected.fields["message"]
    assert "the last good one stays in force" in caplog.text


async def test_all_files_gone_keep_the_last_good_one(policies: Policies, folder: Folder, ledger: RunningLedger) -> None:
    before = policies()
    (folder.path / "policy.yaml").unlink()
    folder.path.rmdir()
    await policies.reload()
    assert policies() is before
    assert ledger.kinds()[-1] == "policy.rejected"


async def test_a_policy_that_cannot_be_served_is_not_good(
    policies: Policies, folder: Folder, ledger: RunningLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Policy) -> None:
        raise Misconfigured("the root's key is not here", cause="root-key-absent")

    before = policies()
    monkeypatch.setattr(policies, "_accept", refuse)
    folder.write(other())
    await policies.reload()
    assert policies() is before
    assert ledger.entries()[-1].fields["cause"] == "root-key-absent"


@pytest.fixture
async def watched(policies: Policies, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Policies]:
    monkeypatch.setattr(module, "_LOOK_EVERY_S", 0.02)
    task = asyncio.create_task(policies.watch_for_ever())
    yield policies
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(true: Any) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.01)


async def test_a_change_is_seen(watched: Policies, folder: Folder, ledger: RunningLedger) -> None:
    folder.write(other())
    await until(lambda: watched().masks == ())
    folder.write("targets: [")
    await until(lambda: ledger.kinds()[-1] == "policy.rejected")
    await asyncio.sleep(0.1)
    assert ledger.kinds().count("policy.rejected") == 1  # until somebody changes it
    folder.write(policy_for(RawTarget()))
    await until(lambda: watched().masks != ())


@pytest.mark.parametrize("broken", [False, True])
async def test_a_change_while_the_ledger_is_away_is_tried_again(
    watched: Policies, folder: Folder, ledger: RunningLedger, broken: bool
) -> None:
    before = watched()
    await ledger.stop()
    folder.write("targets: [" if broken else other())
    await asyncio.sleep(0.1)
    assert watched() is before
    await ledger.restart()
    await until(lambda: ledger.kinds()[-1] == ("policy.rejected" if broken else "policy.loaded"))
    await until(lambda: (watched() is before) is broken)


async def test_files_are_read_from_the_folder_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured):
        read_policy_files(tmp_path / "absent")
    (tmp_path / "a.yaml").symlink_to(tmp_path / "gone")  # as a file that vanishes in between
    with pytest.raises(Misconfigured):
        read_policy_files(tmp_path)


async def test_a_first_load_raises(folder: Folder, worker: LedgerClient, ledger: RunningLedger) -> None:
    made = Policies(folder.path, folder.path.parent, ["corp"], [], worker.append, lambda _: None)
    with pytest.raises(Misconfigured):
        await made.load()
    made = Policies(folder.path, folder.path.parent, ["corp"], ["target-token"], worker.append, lambda _: None)
    await ledger.stop()
    with pytest.raises(Unavailable):
        await made.load()
    with pytest.raises(AssertionError):
        made()
