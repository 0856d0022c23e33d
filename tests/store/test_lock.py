import subprocess
import sys
from pathlib import Path

import pytest

from doorward.errors import Unavailable
from doorward.store.lock import writer_lock

HOLD_IT = """
import pathlib, sys
from doorward.store.lock import writer_lock
with writer_lock(pathlib.Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_another_process_is_kept_out_until_it_ends(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_IT, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(Unavailable) as refused, writer_lock(tmp_path):
            pass
        assert refused.value.cause == "ledger-locked"
        other.kill()
    with writer_lock(tmp_path):
        pass
