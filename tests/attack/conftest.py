"""The data plane in this process, for attacks on it: the fixtures of the gateway's own tests."""

from tests.gateway.conftest import gateway, ledger, provider, runtime, target, worker

__all__ = ["gateway", "ledger", "provider", "runtime", "target", "worker"]
