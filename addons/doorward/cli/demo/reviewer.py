"""The reviewer of `demo --auto`: the same login and the same HTTP calls as the page makes in a browser."""

import html
import re
import time
from dataclasses import dataclass
from urllib.parse import urljoin

import httpx

from doorward.errors import Unavailable

_FORM = re.compile(r'<article [^>]*id="(?P<hold>[^"]+)">(?P<inside>.*?)</article>', re.S)
_FIELD = re.compile(r'name="(?P<name>token|digest)" value="(?P<value>[^"]*)"')


@dataclass(frozen=True, slots=True)
class OpenHold:
    """A hold as the page shows it."""

    id: str
    token: str
    digest: str
    text: str
    may_decide: bool


class Reviewer:
    """One person in one browser."""

    def __init__(self, console: str, subject: str) -> None:
        self._console = console
        self._subject = subject
        self._browser = httpx.Client(trust_env=False, timeout=20, headers={"Accept": "text/html"})

    def log_in(self) -> None:
        """Go to the page, be sent to the provider, choose oneself there, and come back."""
        url = f"{self._console}/login?next=/approvals"
        for _ in range(8):
            answer = self._browser.get(url)
            if not answer.is_redirect:
                break
            url = urljoin(str(answer.url), answer.headers["Location"])
            if "/oauth2/authorize" in url:
                answer = self._browser.post(url, data={"sub": self._subject})
                url = answer.headers["Location"]
        if answer.status_code != 200:
            raise Unavailable(f"{self._subject} could not log in: {answer.status_code}", cause="demo")

    def holds(self) -> list[OpenHold]:
        """What the page shows as waiting."""
        page = self._browser.get(f"{self._console}/approvals").text
        found = []
        for each in _FORM.finditer(page):
            fields = {field["name"]: html.unescape(field["value"]) for field in _FIELD.finditer(each["inside"])}
            text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", each["inside"])).split())
            found.append(
                OpenHold(each["hold"], fields.get("token", ""), fields.get("digest", ""), text, "digest" in fields)
            )
        return found

    def wait_for_hold(self) -> OpenHold:
        """The hold that waits; gives up after a while."""
        for _ in range(100):
            if holds := self.holds():
                return holds[0]
            time.sleep(0.1)
        raise Unavailable("no hold came to the page", cause="demo", hint="run the demo again")

    def answer(self, hold: OpenHold, verdict: str, reason: str) -> int:
        """Send the form; the status of what comes back."""
        form = {"token": hold.token, "digest": hold.digest, "reason": reason}
        headers = {"Origin": self._console}
        return self._browser.post(
            f"{self._console}/approvals/{hold.id}/{verdict}", data=form, headers=headers
        ).status_code
