"""The tables of docs/clients.md: written from a run, and compared with the rows but for the versions."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.parts.clients.client import Client

PAGE = Path(__file__).parents[3] / "docs" / "clients.md"
BEGIN = "<!-- written by scripts/clients -->"
END = "<!-- until here -->"


def tables(clients: Sequence[Client], versions: Mapping[str, str]) -> str:
    """What each client needs, and what it shows."""
    named = [(client.name.format(versions[client.key]), client) for client in clients]
    needs = [(name, each.proxy, each.root) for name, each in named]
    shows = [(name, each.http, _refusal(each), f"`{each.bad_token}`", _but(each)) for name, each in named]
    return "\n\n".join((
        _table(("client", "proxy", "root certificate"), needs),
        _table(("client", "HTTP", "shows of a refusal", "a bad token shows as", "mind"), shows),
    ))  # fmt: skip


def written(page: str) -> str:
    """What stands between the marks."""
    return page.partition(BEGIN)[2].partition(END)[0].strip()


def with_tables(page: str, made: str) -> str:
    """The page with other tables between the marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


def is_of(clients: Sequence[Client], there: str) -> bool:
    """Whether tables are those of the clients, whatever the versions."""
    pattern = re.escape(tables(clients, {client.key: "VERSION" for client in clients}))
    return re.fullmatch(pattern.replace("VERSION", r"\d[\d.]*"), there) is not None


def _refusal(client: Client) -> str:
    return "status and body" if client.shows_body else "status"


def _but(client: Client) -> str:
    again = "" if client.token_at_once else "asks for each tunnel without the token first, which is recorded as refused"
    return "; ".join(text for text in (client.but, again) if text) or "-"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines).replace("| --- ", "|---").replace("--- |", "---|")
