"""A person in a browser without a screen, at the console of a deployment."""

import re
from typing import Any

import httpx

from tests.parts.deployment import Deployment


class Person:
    """`with Person(deployment, "bob", "owners") as bob:` has logged in."""

    def __init__(self, deployment: Deployment, sub: str, *groups: str) -> None:
        self._deployment = deployment
        self._url = f"http://127.0.0.1:{deployment.console_port}"
        self._browser = httpx.Client(base_url=self._url, trust_env=False, timeout=20)
        deployment.provider.user = {"sub": sub, "groups": list(groups)}
        page = self._browser.get("/login", params={"next": "/approvals"}, follow_redirects=True)
        found = re.search(r'name="(?:token|doorward-token)" (?:value|content)="([^"]+)"', page.text)
        self.page = page
        self._token = found[1] if found else ""

    def __enter__(self) -> "Person":
        return self

    def __exit__(self, *_: object) -> None:
        self._browser.close()

    def holds(self) -> list[dict[str, Any]]:
        """The open holds, as the API lists them."""
        answer = self._browser.get("/api/holds")
        assert answer.status_code == 200, answer.text
        return list(answer.json()["open"])

    def wait_for_hold(self) -> dict[str, Any]:
        """The one open hold."""
        self._deployment.wait_for(lambda: self.holds(), 15)
        return self.holds()[0]

    def answer(self, hold: dict[str, Any], verdict: str = "approve", **changes: Any) -> httpx.Response:
        """Decide by the API."""
        body = {"reason": "because the customer asked", "digest": hold["digest"], **changes}
        return self._browser.post(
            f"/api/holds/{hold['id']}/{verdict}",
            json=body,
            headers={"Origin": self._url, "Doorward-Token": self._token},
        )
