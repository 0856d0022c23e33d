"""A git server on loopback: the smart protocol over HTTP, by git's own `http-backend`."""

import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

_NOBODY = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}


def has_http_backend() -> bool:
    """Whether git can serve the smart protocol on this machine."""
    asked = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=False)
    return (Path(asked.stdout.strip()) / "git-http-backend").exists()


def git(*words: str, cwd: Path) -> str:
    """Run git without anybody's configuration."""
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "init.defaultBranch=main")
    return subprocess.run(
        ["git", *identity, *words], cwd=cwd, env={**os.environ, **_NOBODY}, capture_output=True, text=True, check=True
    ).stdout.strip()


class GitTarget:
    """`with GitTarget(folder) as target:`; `NAME.git` for each name that `add` was told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, name: str, file: str, text: str) -> str:
        """A repository with one commit, which anybody may push to; gives the commit."""
        work, bare = self.folder / f"{name}-work", self.folder / f"{name}.git"
        work.mkdir()
        git("init", "--quiet", cwd=work)
        (work / file).write_text(text)
        git("add", file, cwd=work)
        git("commit", "--quiet", "--message", "one", cwd=work)
        git("clone", "--quiet", "--bare", str(work), str(bare), cwd=self.folder)
        git("config", "http.receivepack", "true", cwd=bare)
        return self.head(name)

    def head(self, name: str) -> str:
        """The commit that a repository is at."""
        return git("rev-parse", "main", cwd=self.folder / f"{name}.git")

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler, self)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: Any, target: GitTarget) -> None:
        super().__init__(address, handler)
        self.target = target


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _serve(self) -> None:
        asked = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        variables = {
            "GIT_PROJECT_ROOT": str(self.server.target.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": asked.path,
            "QUERY_STRING": asked.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }
        done = subprocess.run(
            ["git", "http-backend"],
            input=body,
            env={**os.environ, **_NOBODY, **variables},
            capture_output=True,
            check=True,
        )
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        headers = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        self.send_response(next((int(value.split()[0]) for name, value in headers if name == "Status"), 200))
        for name, value in headers:
            if name not in ("Status", "Content-Length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = _serve  # names of http.server

    def log_message(self, *_: object) -> None:
        """Silent."""
