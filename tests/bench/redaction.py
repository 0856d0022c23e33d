"""How long a large body takes to mask, how long at a time, and how much memory that needs.

Measured in CPU time of the thread, so that other work on the machine does not count, beside orjson's loads
and dumps of the same bytes. The rows `podlist-48mb` and `podlist-48mb-stall`; `tests.bench` runs them.
"""

import json
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

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


@dataclass(frozen=True, slots=True)
class Masked:
    """Medians over the rounds."""

    ours_ms: float
    theirs_ms: float  # orjson's loads and dumps
    ratio: float
    longest_step_ms: float
    peak_bodies: float  # added memory at the peak, in sizes of the body


def measure(rounds: int, megabytes: int = 48) -> Masked:
    """Mask, and parse and write again, in turn."""
    body = document(megabytes)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = resident("VmRSS")
    in_steps(body)
    peak = (resident("VmHWM") - before) / len(body)
    ours, longest, theirs = [], [], []
    for _ in range(rounds):
        total, step, _ = in_steps(body)
        ours.append(total)
        longest.append(step)
        theirs.append(timed(lambda: orjson.dumps(orjson.loads(body)))[0])
    return Masked(
        statistics.median(ours),
        statistics.median(theirs),
        statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True)),
        statistics.median(longest),
        peak,
    )
