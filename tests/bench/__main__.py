"""`scripts/bench [--json FILE] [ROW …]`: runs the rows, prints a table or writes one JSON object a line."""

import json
import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from tests.bench.rows import LOADS, PODLIST, ROWS, STALL, WORKERS, Result, masking, throughput, workers
from tests.bench.sides import fdatasync_ms


@click.command()
@click.argument("rows", nargs=-1, type=click.Choice(ROWS), metavar="[ROW]...")
@click.option("--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write one JSON object a line.")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1, 100))
@click.option(
    "--seconds", default=3.0, show_default=True, type=click.FloatRange(0.1, 600), help="Of each side and round."
)
@click.option(
    "--under", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Where the record is kept."
)
def bench(rows: tuple[str, ...], file: Path | None, rounds: int, seconds: float, under: Path | None) -> None:
    """Measure doorward with everything on beside stock mitmdump and no proxy, in turn."""
    with tempfile.TemporaryDirectory(prefix="dw-bench-", dir=under) as name:
        folder = Path(name)
        sync_ms = fdatasync_ms(folder)
        wanted = rows or ROWS
        results = []
        if loads := [row for row in wanted if row in LOADS]:
            results += throughput(loads, folder, rounds=rounds, seconds=seconds)
        if WORKERS in wanted:
            (folder / WORKERS).mkdir()
            results.append(workers(folder / WORKERS, rounds=rounds, seconds=seconds))
        if {PODLIST, STALL} & set(wanted):
            results += [result for result in masking(rounds) if result.name in wanted]
    if file is None:
        _show(results, sync_ms)
        return
    with file.open("w") as out:
        for each in results:
            line = {name: getattr(each, name) for name in ("name", "unit", "ours", "against", "theirs", "ratio")}
            out.write(json.dumps(line) + "\n")
    click.echo(f"scripts/bench: fdatasync p50 {sync_ms:.2f} ms", err=True)


def _show(results: list[Result], sync_ms: float) -> None:
    table = Table("row", "side", "requests/s", "p50 ms", "p99 ms", "CPU ms", "ratio", box=None)
    for result in results:
        if not result.sides:
            cells = ("", f"{result.ours:.1f}", "", "", f"{result.ratio:.2f} of {result.against}")
            table.add_row(result.name, "doorward", *cells)
        for name, side in result.sides.items():
            ratio = f"{result.ratio:.2f} of {result.against}" if name == "doorward" else ""
            cpu = f"{side.cpu_ms:.2f}" if side.cpu_ms else ""
            cells = (f"{side.per_second:.0f}", f"{side.p50_ms:.2f}", f"{side.p99_ms:.2f}", cpu, ratio)
            table.add_row(result.name, name, *cells)
    console = Console()
    console.print(table)
    console.print(f"fdatasync where the record lies: p50 {sync_ms:.2f} ms", highlight=False)


if __name__ == "__main__":
    bench(prog_name="scripts/bench")
