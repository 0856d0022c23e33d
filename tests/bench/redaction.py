"""How long a large body takes to mask, how long at a time, and how much memory that needs.

    .venv/bin/python -m tests.bench.redaction [MEGABYTES]

Measured in CPU time of the thread, so that other work on the machine does not count. If orjson is
installed, its loads and dumps of the same bytes stand beside it; doorward itself does not use it.
"""

import importlib
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from doorward.core.redaction.masks import Replacement, Replacer, sentinel_for
from doorward.core.redaction.rules import FieldRule, compile_rules
from doorward.core.redaction.walk import RedactedPieces, redact_in_steps

KEY = b"the deployment's key, 32 bytes.."
RULES = (
    "$.items[*].spec.containers[*].env[*].value",
    "$..email",
    "$.items[?(@.status.phase == 'Failed')].status.podIP",
    "$..annotations['a3']",
    "$.items[*].metadata.uid",
)


def pod(number: int, source: random.Random) -> dict[str, Any]:
    """A pod of 4.8 KB."""
    return {
        "metadata": {
            "name": f"pod-{number}",
            "uid": f"{source.getrandbits(128):032x}",
            "labels": {f"label-{n}": "v" * 20 for n in range(14)},
            "annotations": {f"a{n}": "w" * 80 for n in range(10)},
        },
        "spec": {
            "containers": [
                {
                    "name": f"container-{n}",
                    "image": "registry.example/team/service:1.2.3",
                    "env": [{"name": f"VARIABLE_{m}", "value": "x" * 34} for m in range(14)],
                    "ports": [{"containerPort": 8080, "protocol": "TCP"}],
                    "resources": {"limits": {"cpu": "100m", "memory": "1Gi"}, "requests": {"cpu": 1, "memory": 1.5}},
                }
                for n in range(2)
            ],
            "volumes": [{"name": f"volume-{n}", "secret": {"secretName": f"secret-{n}"}} for n in range(6)],
            "owner": {"email": f"owner{number}@example.com"},
        },
        "status": {
            "phase": "Failed" if number % 10 == 0 else "Running",
            "conditions": [
                {"type": f"Condition{n}", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
                for n in range(8)
            ],
            "podIP": f"10.1.{number // 256 % 256}.{number % 256}",
        },
    }


def document(megabytes: int) -> bytes:
    """A list of pods."""
    source = random.Random(1)
    pods: list[str] = []
    size = 0
    while size < megabytes * 1_000_000:
        pods.append(json.dumps(pod(len(pods), source), separators=(",", ":")))
        size += len(pods[-1]) + 1
    return f'{{"kind":"PodList","apiVersion":"v1","items":[{",".join(pods)}]}}'.encode()


def timed[T](work: Callable[[], T]) -> tuple[float, T]:
    """Milliseconds of this thread, and what came of it."""
    start = time.thread_time()
    result = work()
    return (time.thread_time() - start) * 1000, result


def in_steps(body: bytes) -> tuple[float, float, RedactedPieces]:
    """Milliseconds in all and of the longest step, and the result."""
    rules = [FieldRule(f"rule {n}", path, Replacement.SENTINEL) for n, path in enumerate(RULES)]
    steps = redact_in_steps(compile_rules(rules), body, Replacer(sentinel_for(KEY), KEY))
    begin = last = time.thread_time()
    longest = 0.0
    while True:
        try:
            next(steps)
        except StopIteration as done:
            now = time.thread_time()
            return (now - begin) * 1000, max(longest, now - last) * 1000, done.value
        now = time.thread_time()
        longest, last = max(longest, now - last), now


def resident(what: str) -> int:
    """Bytes of this process in memory: now, or at the peak."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{what}:"))
    return int(line.split()[1]) * 1024


def main() -> None:
    """Print the figures."""
    body = document(int(sys.argv[1]) if len(sys.argv) > 1 else 48)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = resident("VmRSS")
    runs = [in_steps(body)]
    peak = (resident("VmHWM") - before) / len(body)
    runs += [in_steps(body) for _ in range(4)]
    masked = sum(mask.count for mask in runs[0][2].masks)
    total, longest = sorted(run[0] for run in runs)[2], sorted(run[1] for run in runs)[2]
    print(f"{len(body) / 1e6:.1f} MB, {masked} values masked, {len(runs[0][2].pieces)} pieces")  # noqa: T201
    print(f"in steps: {total:.0f} ms, longest step {longest:.2f} ms, peak memory {peak:.2f} bodies")  # noqa: T201
    runs.clear()
    try:
        orjson = importlib.import_module("orjson")
    except ImportError:
        return
    theirs = sorted(timed(lambda: orjson.dumps(orjson.loads(body)))[0] for _ in range(5))[2]
    print(f"orjson loads and dumps: {theirs:.0f} ms; ratio {total / theirs:.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
