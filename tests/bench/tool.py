"""The load tool in Go (`load/`): built once a run, started as a process of its own."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parent / "load"


@dataclass(frozen=True, slots=True)
class Route:
    """How clients reach the target: straight, or through a proxy."""

    name: str
    ca: Path  # what clients trust
    proxy: str = ""  # host:port
    token: str = ""
    pids: tuple[int, ...] = ()  # processes whose CPU time counts


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of the load tool."""

    requests: int
    seconds: float
    per_second: float
    p50_ms: float
    p99_ms: float


class LoadTool:
    """The tool, and one target that it serves; `with LoadTool(folder) as tool:`."""

    def __init__(self, folder: Path) -> None:
        go = shutil.which("go")
        if go is None:
            raise SystemExit("scripts/bench: the load tool is written in Go, and no Go toolchain was found")
        self._program = folder / "load"
        subprocess.run([go, "build", "-o", str(self._program), "."], cwd=SOURCE, check=True, timeout=300)

    def serve(self, cert: Path, key: Path) -> "LoadTarget":
        """Start the target."""
        return LoadTarget(self._program, cert, key)

    def run(
        self,
        route: Route,
        address: str,
        *,
        connections: int,
        seconds: float,
        tunnel: bool = False,
        requests: int = 0,
    ) -> Measured:
        """Ask without pause; raises CalledProcessError where a request fails."""
        line = [str(self._program), "run", "-address", address, "-ca", str(route.ca)]
        line += ["-connections", str(connections), "-seconds", str(seconds), "-requests", str(requests)]
        line += [f"-tunnel={'true' if tunnel else 'false'}"]
        if route.proxy:
            line += ["-proxy", route.proxy, "-token", route.token]
        done = subprocess.run(line, stdout=subprocess.PIPE, check=True, timeout=seconds + 120)
        return Measured(**json.loads(done.stdout))


class LoadTarget:
    """A target that answers every GET with the same kilobyte of JSON."""

    def __init__(self, program: Path, cert: Path, key: Path) -> None:
        self._process = subprocess.Popen(
            [str(program), "target", "-cert", str(cert), "-key", str(key)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()

    def stop(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
