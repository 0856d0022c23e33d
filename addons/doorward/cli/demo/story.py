"""The story of `demo --auto`: each step does what its line says, or the demo fails.

Nothing is taken from the gateway's word alone: the target is asked what reached it, the
record is read from the files, and what must not stand anywhere is looked for everywhere.
"""

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import zstandard

from doorward.cli.demo.agent import Agent, finish
from doorward.cli.demo.identity import OWNER, REVIEWER
from doorward.cli.demo.reviewer import Reviewer
from doorward.cli.demo.target import COLLECTION, PEOPLE
from doorward.cli.demo.world import World
from doorward.errors import Refused

URL = f"https://crm.internal{COLLECTION}"


class Story:
    """The steps, in order; `tell` plays them and raises Refused at the first that does not hold."""

    def __init__(self, world: World, tick: Callable[[str], None]) -> None:
        self._world = world
        self._tick = tick
        self._agent = Agent(world)
        self._people = {each["name"]: each for each in world.target.customers()}

    def tell(self) -> None:
        """Play all steps."""
        self._no_token()
        self._masked()
        self._refused()
        self._approved()
        self._denied()
        self._record()

    def _no_token(self) -> None:
        answer = Agent(self._world, token="nonsense").curl(URL)  # noqa: S106 # it is nonsense
        _must(answer.status == 407, f"without a valid token curl got {answer.status}")
        self._tick("without a valid token the proxy opens no tunnel (407)")

    def _masked(self) -> None:
        real = self._world.target.customers()
        answer = self._agent.curl(URL)
        _must(answer.status == 200, f"curl got {answer.status}: {answer.text[:200]}")
        shown = {each["name"]: each for each in answer.document["items"]}
        _must(len(shown) == len(PEOPLE), "curl did not get every customer")
        for each in real:
            got = shown[each["name"]]
            for name in ("email", "iban", "phone"):
                _must(bool(each[name]) and got[name] != each[name], f"{name} came through unmasked")
                _must(str(each[name]) not in answer.text, f"{name} stands somewhere in the answer")
            _must(got["balance"] == each["balance"] and got["city"] == each["city"], "an unmasked field was changed")
        self._tick(f"curl reads {len(shown)} customers; e-mail, IBAN and phone are masked, the rest is as it was")
        one = self._agent.python("GET", f"{URL}/{real[0]['id']}")
        _must(one.status == 200 and one.document["name"] == real[0]["name"], f"requests got {one.status}")
        _must(real[0]["email"] not in one.text and self._world.target.secret not in one.text, "something leaked")
        self._tick("a Python client reads one customer, masked; it never had the target's credential")

    def _refused(self) -> None:
        before = self._world.target.customers()
        new = self._agent.curl(URL, "--json", '{"name": "Eve"}')
        _must(
            new.status == 403 and new.says(executed="no", rules=["default deny"]), f"POST got {new.status}: {new.text}"
        )
        oracle = self._agent.curl(f"{URL}?filter=email~'a'")
        _must(
            oracle.status in (400, 403) and oracle.says(executed="no"), f"a filter got {oracle.status}: {oracle.text}"
        )
        other = self._agent.curl("https://elsewhere.example/")
        _must(other.status == 403, f"an unknown host got {other.status}")
        _must(self._world.target.customers() == before, "a refused request changed the target")
        self._tick("creating a customer, guessing by a filter, another host: refused, each with its rule")

    def _approved(self) -> None:
        victim = self._people["Bob Baker"]
        waiting = self._agent.start_python("DELETE", f"{URL}/{victim['id']}")
        reviewer, owner = Reviewer(self._world.console, REVIEWER), Reviewer(self._world.console, OWNER)
        reviewer.log_in()
        hold = reviewer.wait_for_hold()
        _must(
            "DELETE" in hold.text and f"corp:{OWNER}" in hold.text, f"the page does not say what is asked: {hold.text}"
        )
        _must(waiting.poll() is None and victim in self._world.target.customers(), "the held request was not held")
        self._tick("deleting a customer is held, and the page shows what, who and for whom")
        owner.log_in()
        _must(all(not each.may_decide for each in owner.holds()), "the agent's owner is offered a decision")
        self._tick(f"{OWNER}, for whom the agent runs, may not approve it")
        status = reviewer.answer(hold, "approve", "customer asked for it, ticket 4711")
        answer = finish(waiting)
        _must(status in (200, 302, 303), f"the approval got {status}")
        _must(answer.status == 204, f"the approved request got {answer.status}: {answer.text}")
        _must(victim["name"] not in [each["name"] for each in self._world.target.customers()], "nothing was deleted")
        self._tick(f"{REVIEWER} approves with a reason, and the waiting client goes on: the customer is gone")
        again = self._agent.curl(f"{URL}/{victim['id']}", "-X", "DELETE")
        _must(again.status == 409 and again.says(executed="no"), f"the repeat got {again.status}: {again.text}")
        self._tick("the same request again is refused: an approval is good for one (409)")

    def _denied(self) -> None:
        person = self._people["Cem Cook"]
        waiting = self._agent.start_python("PATCH", f"{URL}/{person['id']}", {"city": "Davos"})
        reviewer = Reviewer(self._world.console, REVIEWER)
        reviewer.log_in()
        reviewer.answer(reviewer.wait_for_hold(), "deny", "no change without a ticket")
        answer = finish(waiting)
        _must(
            answer.status == 403 and "no change without a ticket" in answer.text, f"the denied one got {answer.status}"
        )
        _must(person in self._world.target.customers(), "a denied request changed the target")
        self._tick(f"{REVIEWER} denies a change; the agent is told the reason, and nothing changed")
        deletes = self._world.target.requests("DELETE", since=1)
        writes = self._world.target.requests("PATCH") + self._world.target.requests("POST") - len(PEOPLE)
        _must(deletes == 1, f"the target counts {deletes} deletions")
        _must(writes == 0, f"the target counts {writes} writes that were refused")
        self._tick("the target's own log: one DELETE, no refused or denied request ever arrived")

    def _record(self) -> None:
        entries, bodies = self._read_record()
        kinds = [each["kind"] for each in entries]
        intents = {each["request"]: each for each in entries if each["kind"] == "request.intent"}
        outcomes = {each["request"] for each in entries if each["kind"] == "request.outcome"}
        _must(bool(intents) and set(intents) == outcomes, "an intent has no outcome")
        for kind in ("policy.loaded", "hold.opened", "hold.approved", "hold.denied", "hold.used", "request.refused"):
            _must(kind in kinds, f"no {kind} in the record")
        used = next(each for each in intents.values() if each["hold"])
        approved = next(each for each in entries if each["kind"] == "hold.approved")
        _must(
            used["digest"] == approved["digest"] and approved["person"] == f"corp:{REVIEWER}",
            "the approval is another's",
        )
        hidden = [self._world.target.secret, *(each[name] for each in PEOPLE for name in ("email", "iban"))]
        everything = [json.dumps(entries).encode(), *bodies]
        for text in hidden:
            _must(
                not any(text.encode() in each for each in everything), "something that is masked stands in the record"
            )
        self._tick(
            f"the record: {len(entries)} entries, {len(intents)} intents each with its outcome, "
            "no masked value and no credential in it, every hash right"
        )

    def _read_record(self) -> tuple[list[dict[str, Any]], list[bytes]]:
        """Straight from the files, as an auditor would; also checks sequence and leaf hashes."""
        time.sleep(0.2)
        entries: list[dict[str, Any]] = []
        bodies: list[bytes] = []
        for file in sorted((self._world.folder / "var" / "segments").glob("*.db")):
            with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
                for seq, text, leaf in database.execute("SELECT seq, entry, leaf FROM entries ORDER BY seq"):
                    _must(seq == len(entries) + 1, "an entry is missing")
                    _must(hashlib.sha256(b"\0" + text.encode()).digest() == leaf, f"entry {seq} does not fit its hash")
                    entries.append(json.loads(text))
                for (packed,) in database.execute("SELECT zstd FROM bodies"):
                    bodies.append(zstandard.ZstdDecompressor().decompress(packed, max_output_size=1 << 26))
        return entries, bodies


def _must(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Refused(otherwise, cause="demo-failed", hint="see demo.log and var/ in the demo's folder")
