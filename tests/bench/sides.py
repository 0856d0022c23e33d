"""The sides that are compared: straight to the target, through stock mitmdump, through doorward with everything on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.tool import Route
from tests.parts.deployment import Deployment, free_port
from tests.parts.provider import Provider


def policy(address: str, ca: Path) -> dict[str, Any]:
    """A policy of the size that a small company has: some forty rules, five masked fields, a credential."""
    paths = ["customers", "orders", "invoices", "products", "stock", "carriers", "returns", "prices", "teams", "notes"]
    return {
        "targets": {
            "crm": {
                "kind": "http",
                "url": f"https://{address}",
                "hosts": [address],
                "ca": str(ca),
                "credential": "target-token",
            }
        },
        "roles": {
            "reader": [
                {"methods": ["GET"], "paths": [f"/v1/{path}", f"/v1/{path}/**"], "query": ["page", "limit"]}
                for path in paths
            ],
            "writer": [{"methods": ["POST", "PATCH", "DELETE"], "paths": [f"/v1/{path}/*"]} for path in paths],
        },
        "bindings": [{"role": role, "target": "crm", "groups": ["corp:agents"]} for role in ("reader", "writer")],
        "holds": [
            {
                "name": f"change {path}",
                "match": {"target": "crm", "methods": ["PATCH", "DELETE"], "paths": [f"/v1/{path}/*"]},
                "approvers": {"groups": ["corp:owners"], "count": 1},
                "expires": "15m",
            }
            for path in paths
        ],
        "denies": [
            {"name": f"no exports of {path}", "match": {"target": "crm", "paths": [f"/v1/{path}/export"]}}
            for path in paths
        ],
        "masks": [
            {
                "name": "personal data",
                "match": {"target": "crm"},
                "fields": ["$..email", "$..iban", "$..phone", "$.customers[*].name", "$.address"],
                "replace_with": "sentinel",
            }
        ],
    }


@contextmanager
def doorward(address: str, ca: Path, folder: Path, **settings: Any) -> Iterator[tuple[Route, Deployment]]:
    """`doorward serve` with its console, a real ledger (synchronous=FULL) and a token of a provider."""
    with (
        Provider() as provider,
        Deployment(provider, policy(address, ca), console=True, under=folder, **settings) as running,
    ):
        pids = tuple(running.pids("gateway"))
        token = provider.token(lifetime_s=3600)
        yield Route("doorward", Path(running.root), f"127.0.0.1:{running.port}", token, pids), running


@contextmanager
def mitmdump(ca: Path, folder: Path) -> Iterator[Route]:
    """Stock mitmdump of the same environment, as it ships, told to trust the target's authority."""
    port, confdir = free_port(), folder / "mitmdump"
    line = [str(Path(sys.executable).parent / "mitmdump"), "-q", "--listen-host", "127.0.0.1", "-p", str(port)]
    line += ["--set", f"confdir={confdir}", "--set", f"ssl_verify_upstream_trusted_ca={ca}"]
    process = subprocess.Popen(line, stdin=subprocess.DEVNULL)
    try:
        trusted = confdir / "mitmproxy-ca-cert.pem"
        _wait_for_port(port, trusted)
        yield Route("mitmdump", trusted, f"127.0.0.1:{port}", "any", (process.pid,))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _wait_for_port(port: int, file: Path) -> None:
    # /proc knows it without a connection, which mitmdump would log
    wanted = f":{port:04X} "
    for _ in range(600):
        if file.exists() and wanted in Path("/proc/net/tcp").read_text():
            return
        time.sleep(0.05)
    raise SystemExit("scripts/bench: mitmdump did not start")


def cpu_s(pids: tuple[int, ...]) -> float:
    """CPU seconds that these processes have used."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def fdatasync_ms(folder: Path, times: int = 200) -> float:
    """Median time of one fdatasync of a small write, in milliseconds: what each durable step costs at least."""
    took = []
    file = folder / "fdatasync"
    handle = os.open(file, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        for _ in range(times):
            os.write(handle, b"x" * 4096)
            begun = time.perf_counter()
            os.fdatasync(handle)
            took.append(time.perf_counter() - begun)
    finally:
        os.close(handle)
        file.unlink()
    return sorted(took)[times // 2] * 1000
