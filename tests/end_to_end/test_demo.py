"""The demo, played by itself: the main job from the token to the record, by real processes."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_the_demo_holds_all_that_it_says(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "doorward", "demo", "--auto", "--folder", str(tmp_path / "demo")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    assert "all of it held" in done.stdout
