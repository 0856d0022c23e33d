"""Both planes in this process, for attacks on them: the fixtures of the gateway's and the console's own tests."""

from tests.console.conftest import console
from tests.gateway.conftest import gateway, ledger, provider, runtime, target, worker

__all__ = ["console", "gateway", "ledger", "provider", "runtime", "target", "worker"]
