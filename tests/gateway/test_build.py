from typing import Any

import doorward
from doorward.gateway.build import started_entry
from doorward.ledger.client import LedgerClient
from tests.ledger.conftest import RunningLedger


async def test_what_runs_is_named_and_the_same_program_has_the_same_digest(
    worker: LedgerClient, ledger: RunningLedger
) -> None:
    first, second = started_entry({"rawtcp": False}, "17"), started_entry({}, "18")
    versions: Any = first.fields["versions"]
    assert versions["doorward"] == doorward.__version__
    assert versions["mitmproxy"]
    assert first.fields["program"] == second.fields["program"]
    assert len(str(first.fields["lock"])) == 64
    await worker.append(first)
    assert ledger.kinds() == ["gateway.started"]
