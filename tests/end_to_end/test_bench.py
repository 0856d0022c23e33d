"""`scripts/bench` itself: it measures what it says, in the form that it says."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(shutil.which("go") is None, reason="no Go toolchain on this machine")
def test_a_row_is_written_as_one_object(tmp_path: Path) -> None:
    line = [
        str(ROOT / "scripts" / "bench"),
        "--json",
        "out.jsonl",
        "--rounds",
        "1",
        "--seconds",
        "0.5",
        "throughput-c1",
    ]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    assert "fdatasync p50" in done.stderr
    (row,) = [json.loads(text) for text in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert row.keys() == {"name", "unit", "ours", "against", "theirs", "ratio"}
    assert (row["name"], row["unit"], row["against"]) == ("throughput-c1", "requests/s", "mitmdump")
    assert row["ours"] > 0
    assert row["ratio"] == pytest.approx(row["ours"] / row["theirs"], rel=0.05)


def test_an_unknown_row_is_a_usage_error() -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "bench", "speed"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "throughput-c16" in done.stderr
