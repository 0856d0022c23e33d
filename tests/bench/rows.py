"""The rows: what is asked of each side, and what is compared."""

import statistics
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench.redaction import measure
from tests.bench.sides import cpu_s, doorward, mitmdump
from tests.bench.tool import LoadTool, Measured, Route
from tests.parts.certificates import TestAuthority


@dataclass(frozen=True, slots=True)
class Load:
    """What clients do in one row."""

    connections: int
    tunnel: bool = False


# Of `tunnel`, four clients: enough to keep a worker busy, as several short-lived commands do.
LOADS: Mapping[str, Load] = {
    "throughput-c1": Load(1),
    "throughput-c16": Load(16),
    "tunnel": Load(4, tunnel=True),
}


WORKERS = "workers-2"
PODLIST, STALL = "podlist-48mb", "podlist-48mb-stall"
ROWS = (*LOADS, WORKERS, PODLIST, STALL)
LONGEST_STALL_MS = 20.0  # what the loop may stand still


@dataclass(frozen=True, slots=True)
class Side:
    """What one side did in a row; medians over the rounds."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float  # of the proxy's own process, a request


@dataclass(frozen=True, slots=True)
class Result:
    """One row: ours against theirs."""

    name: str
    unit: str
    ours: float
    against: str
    theirs: float
    ratio: float  # median of the ratios of the rounds
    sides: Mapping[str, Side]


def throughput(names: Sequence[str], folder: Path, *, rounds: int, seconds: float) -> list[Result]:
    """Requests a second through doorward against stock mitmdump, in turn; one deployment for all rows."""
    tool = LoadTool(folder)
    authority = TestAuthority(folder)
    with ExitStack() as stack:
        target = tool.serve(*authority.pair("127.0.0.1"))
        stack.callback(target.stop)
        theirs = stack.enter_context(mitmdump(authority.ca, folder))
        ours, _ = stack.enter_context(doorward(target.address, authority.ca, folder))
        routes = (Route("direct", authority.ca), theirs, ours)
        for route in routes:  # certificates are made, code paths are warm
            tool.run(route, target.address, connections=2, seconds=min(seconds, 1.0))
        return [
            _row(
                tool,
                name,
                routes,
                target.address,
                load=LOADS[name],
                against="mitmdump",
                rounds=rounds,
                seconds=seconds,
            )
            for name in names
        ]


def workers(folder: Path, *, rounds: int, seconds: float) -> Result:
    """Two workers against one, sixteen connections, in turn; says little where the machine has two cores."""
    tool, authority = LoadTool(folder), TestAuthority(folder)
    with ExitStack() as stack:
        target = tool.serve(*authority.pair("127.0.0.1"))
        stack.callback(target.stop)
        routes = []
        for name, count in (("doorward", 2), ("one worker", 1)):
            (folder / name).mkdir()
            route, _ = stack.enter_context(doorward(target.address, authority.ca, folder / name, workers=count))
            routes.append(replace(route, name=name))
            tool.run(route, target.address, connections=2, seconds=min(seconds, 1.0))
        return _row(
            tool, WORKERS, routes, target.address, load=Load(16), against="one worker", rounds=rounds, seconds=seconds
        )


def masking(rounds: int) -> list[Result]:
    """A list of 10,000 pods: CPU time against orjson's loads and dumps, and the longest step against what it may be."""
    found = measure(rounds)
    return [
        Result(PODLIST, "ms", round(found.ours_ms, 1), "orjson", round(found.theirs_ms, 1), round(found.ratio, 3), {}),
        Result(
            STALL,
            "ms",
            round(found.longest_step_ms, 2),
            "20 ms",
            LONGEST_STALL_MS,
            round(found.longest_step_ms / LONGEST_STALL_MS, 3),
            {},
        ),
    ]


def _row(
    tool: LoadTool,
    name: str,
    routes: Sequence[Route],
    address: str,
    *,
    load: Load,
    against: str,
    rounds: int,
    seconds: float,
) -> Result:
    runs: dict[str, list[tuple[Measured, float]]] = {route.name: [] for route in routes}
    for number in range(rounds):
        shift = number % len(routes)  # nobody is always first
        for route in (*routes[shift:], *routes[:shift]):
            before = cpu_s(route.pids)
            got = tool.run(route, address, connections=load.connections, seconds=seconds, tunnel=load.tunnel)
            runs[route.name].append((got, cpu_s(route.pids) - before))
        said = ", ".join(f"{route.name} {runs[route.name][-1][0].per_second:.0f}/s" for route in routes)
        print(f"scripts/bench: {name} {number + 1}/{rounds}: {said}", file=sys.stderr, flush=True)  # noqa: T201
    sides = {each: _side(measured) for each, measured in runs.items()}
    ratios = [
        ours.per_second / theirs.per_second
        for (ours, _), (theirs, _) in zip(runs["doorward"], runs[against], strict=True)
    ]
    return Result(
        name=name,
        unit="requests/s",
        ours=round(sides["doorward"].per_second, 1),
        against=against,
        theirs=round(sides[against].per_second, 1),
        ratio=round(statistics.median(ratios), 3),
        sides=sides,
    )


def _side(runs: Sequence[tuple[Measured, float]]) -> Side:
    return Side(
        per_second=statistics.median(each.per_second for each, _ in runs),
        p50_ms=statistics.median(each.p50_ms for each, _ in runs),
        p99_ms=statistics.median(each.p99_ms for each, _ in runs),
        cpu_ms=statistics.median(cpu * 1000 / each.requests for each, cpu in runs),
    )
