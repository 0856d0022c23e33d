"""In processes of their own: what is switched off here would stay off for the other tests."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="prctl")

HARDENED = """
import ctypes, json, os, resource, subprocess, sys
from doorward.hardening import harden_process
assert not {"mitmproxy", "OpenSSL", "httpx"} & set(sys.modules)
harden_process()
open("made", "w").close()
print(json.dumps([
    ctypes.CDLL(None).prctl(3, 0, 0, 0, 0),
    resource.getrlimit(resource.RLIMIT_CORE),
    [name for name in os.environ if "KEYLOG" in name],
    oct(os.stat("made").st_mode & 0o777),
    subprocess.run(["sh", "-c", "ulimit -c; umask; env | grep -c KEYLOG"], capture_output=True, text=True).stdout,
]))
"""

# A supervisor that starts a part; the part says what became of it, unless it was ended.
PART = """
import sys, time
from doorward.hardening import end_with_parent
if sys.argv[2] == "orphan":
    sys.stdin.read()  # until the supervisor is gone
    time.sleep(0.2)
end_with_parent(int(sys.argv[1]))
print("alive", flush=True)
time.sleep(20)
"""
SUPERVISOR = """
import os, socket, subprocess, sys
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
part = subprocess.Popen(
    [sys.executable, "-c", sys.argv[1], str(theirs.fileno()), sys.argv[2]],
    pass_fds=[theirs.fileno()], stdin=subprocess.PIPE,
)
print(part.pid, flush=True)
if sys.argv[2] == "orphan":
    os._exit(0)
part.wait()
"""


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def supervisor(started: list[subprocess.Popen[str]], kind: str, *before: str) -> subprocess.Popen[str]:
    line = [*before, sys.executable, "-c", SUPERVISOR, PART, kind]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    started.append(process)
    return process


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def ends(pid: int) -> bool:
    for _ in range(250):
        state = ""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        if state in ("", "Z"):
            return True
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    return False


def test_what_is_switched_off(tmp_path: Path) -> None:
    environment = os.environ | {"SSLKEYLOGFILE": "keys", "MITMPROXY_SSLKEYLOGFILE": "keys"}
    done = subprocess.run(
        [sys.executable, "-c", HARDENED], capture_output=True, text=True, cwd=tmp_path, env=environment, check=True
    )
    assert done.stdout.strip() == '[0, [0, 0], [], "0o600", "0\\n0077\\n0\\n"]'


FILES = """
import resource
from doorward.hardening import allow_open_files
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 500))
for wanted in (50, 200, 900):
    allow_open_files(wanted)
    print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_as_many_files_as_the_system_lets_us() -> None:
    done = subprocess.run([sys.executable, "-c", FILES], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["100 500", "200 500", "500 500"]


def test_a_part_ends_with_its_supervisor(started: list[subprocess.Popen[str]]) -> None:
    parent = supervisor(started, "child")
    pid = int(said(parent))
    assert said(parent) == "alive"
    parent.kill()
    assert ends(pid)


def test_a_part_whose_supervisor_is_gone_already_ends_at_once(started: list[subprocess.Popen[str]]) -> None:
    parent = supervisor(started, "orphan")
    pid = int(said(parent))
    assert ends(pid)
    assert said(parent) == ""


def test_a_supervisor_may_be_process_1(started: list[subprocess.Popen[str]]) -> None:
    """As in a container."""
    apart = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    if shutil.which("unshare") is None or subprocess.run([*apart, "true"], capture_output=True).returncode:
        pytest.skip("no namespaces of processes here")
    parent = supervisor(started, "child", *apart)
    assert int(said(parent)) > 1
    assert said(parent) == "alive"
