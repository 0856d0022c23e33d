"""mitmweb's own powers, and other spellings of routes, tried on a console that runs, by a reviewer who turned."""

import asyncio
import re
from collections.abc import Iterator

from mitmproxy.tools.web import app as mitmweb

from doorward.console.copies import flow_id
from doorward.model import Hold
from tests.console.test_login import entries
from tests.console.test_stock import shown
from tests.parts.console import Person, RunningConsole

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND")
COMMANDS = (
    "script.run",
    "save.file",
    "flow.resume",
    "flow.kill",
    "replay.client",
    "set",
    "options.load",
    "console.exit",
)


def stock_paths(flow: str) -> Iterator[str]:
    """Each route that this mitmweb has, for one flow."""
    for pattern, _ in mitmweb.handlers:
        text = str(pattern).replace(r"(?:\.json)?", "").replace(r"\-", "-")
        for name, values in (
            ("flow_id", (flow,)),
            ("message", ("request", "messages")),
            ("content_view", ("Raw",)),
            ("cmd", COMMANDS),
        ):
            found = re.search(rf"\(\?P<{name}>[^)]*\)", text)
            if found is None:
                continue
            if name == "cmd":
                yield from (text.replace(found[0], value) for value in values[1:])
            text = text.replace(found[0], values[0])
        assert "(" not in text, f"a pattern of a new kind: {pattern}"
        yield text
        yield f"{text}.json"


async def raw(console: RunningConsole, head: str | bytes, body: bytes = b"") -> bytes:
    """One request of bytes, and all that comes back."""
    host, _, port = console.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    sent = head.encode("latin-1") if isinstance(head, str) else head
    writer.write(sent + body)
    try:
        return await asyncio.wait_for(reader.read(1 << 20), 10)
    except ConnectionError:
        return b""  # cut off before the whole request was sent
    finally:
        writer.transport.abort()


def status(answer: bytes) -> int:
    """Zero where the connection was closed without an answer."""
    return int(answer.split(b" ")[1]) if answer.startswith(b"HTTP/1.") else 0


def cookie(person: Person) -> str:
    return "; ".join(f"{name}={value}" for name, value in person.browser.cookies.items())


async def still_open(console: RunningConsole, *holds: Hold) -> bool:
    """Nothing was decided, and the console does as before."""
    return all([(await console.worker.hold(hold.id)).state == "open" for hold in holds])


async def test_every_route_of_mitmweb_in_every_method_only_shows(console: RunningConsole) -> None:
    hold = await console.open_hold()
    async with console.person("anna", "sre") as anna:
        flow = await shown(anna, hold.request)
        paths = {*stock_paths(flow["id"]), "/options/save.json", "/flows/*/resume", "/auth", "/static", "/static/"}
        assert {"/commands/script.run", "/options", "/flows/resume", "/clear", "/processes", "/flows/dump"} <= paths
        for path in sorted(paths):
            for method in METHODS if not path.endswith(".json") else ("GET", "POST", "PUT"):
                url = f"{path}?token={anna.token}&path=/etc/passwd&filter=~all"
                answer = await anna.browser.request(
                    method,
                    url,
                    headers={
                        "Origin": console.url,
                        "Doorward-Token": anna.token,
                        "X-XSRFToken": "a",
                    },
                    json={
                        "scripts": ["x.py"],
                        "arguments": ["@all"],
                        "comment": "changed",
                        "request": {"path": "/other"},
                    }
                    if method not in ("GET", "HEAD")
                    else None,
                )
                if answer.status_code == 200:
                    assert method == "GET", (method, path)
                else:
                    # 400: a yes without reason and digest; 405: words that are no methods for tornado
                    assert answer.status_code in (400, 403, 405, 409, 426), (method, path, answer.status_code)
        assert [each for each in (await anna.browser.get("/flows")).json() if each["id"] == flow["id"]] == [flow]
        assert (await anna.browser.get("/options")).json()["server"] == {"value": False}
    assert await still_open(console, hold)
    assert list(entries(console, "hold.approved")) + list(entries(console, "hold.denied")) == []


async def test_a_method_named_in_a_header_or_a_field_is_not_taken(console: RunningConsole) -> None:
    hold = await console.open_hold()
    async with console.person("anna", "sre") as anna:
        flow = flow_id(hold.request)
        body = {"reason": "a fine request", "digest": hold.digest}
        names = ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "Method-Override", "X-Original-Method")
        for path in (
            f"/api/holds/{hold.id}/approve",
            f"/flows/{flow}/resume",
            f"/approvals/{hold.id}/approve",
            "/logout",
        ):
            for name in names:
                headers = {name: "POST", "Origin": console.url, "Doorward-Token": anna.token}
                assert (await anna.browser.request("GET", path, headers=headers, json=body)).status_code == 403
            answer = await anna.browser.get(path, params={"_method": "POST", **body}, headers={"Origin": console.url})
            assert answer.status_code == 403
        for name in ("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Path", "X-Forwarded-Uri"):
            answer = await anna.browser.get("/logged-out", headers={name: f"/flows/{flow}"})
            assert "You are logged out" in answer.text, name
        for name in ("X-Forwarded-Host", "X-Host", "Forwarded", "X-Forwarded-Proto", "X-Real-Ip", "X-Forwarded-For"):
            answer = await anna.browser.get("/login", headers={name: "evil.example"})
            assert "evil.example" not in answer.headers["location"], name
    assert await still_open(console, hold)


def spellings(path: str) -> Iterator[str]:
    """Other ways to write a path, of which one or another server makes the same."""
    first, _, rest = path.removeprefix("/").partition("/")
    yield from (f"/{path}", f"//{path.lstrip('/')}", f"{path}/", f"{path}//", f"{path}/.", f"/.{path}", f"/x/..{path}")
    yield from (
        f"{path}.",
        f"{path};",
        f"{path};x=1",
        f"/;{path}",
        f"{path}%00",
        f"{path}%20",
        f"{path}%0a",
        f"{path}%23",
    )
    yield from (f"/%2e{path}", f"/x/%2e%2e{path}", f"/{first}%2f{rest}", f"/{first}\\{rest}", f"/{first}%5c{rest}")
    yield from (
        f"/{first.upper()}/{rest}",
        f"/%{ord(first[0]):02x}{first[1:]}/{rest}",
        f"{path}#x",
        f"{path}\xa0",
        f"{path}\x85",
    )
    yield from (f"/static/..{path}", f"/static/%2e%2e{path}", f"/doorward/..{path}", f"*{path}", path.lstrip("/"))


async def test_another_spelling_of_a_route_is_another_route(console: RunningConsole) -> None:
    """A proxy before the console, or tornado, could make the guarded path of what the table did not know."""
    hold = await console.open_hold()
    async with console.person("anna", "sre") as anna:
        body = f'{{"reason": "a fine request", "digest": "{hold.digest}"}}'.encode()
        common = (
            f"Cookie: {cookie(anna)}\r\nOrigin: {console.url}\r\nDoorward-Token: {anna.token}\r\nConnection: close\r\n"
        )
        host = console.url.removeprefix("http://")
        for path in (f"/api/holds/{hold.id}/approve", f"/flows/{flow_id(hold.request)}/resume"):
            for spelling in spellings(path):
                head = f"POST {spelling} HTTP/1.1\r\nHost: {host}\r\n{common}Content-Type: application/json\r\n"
                answer = await raw(console, f"{head}Content-Length: {len(body)}\r\n\r\n", body)
                assert status(answer) in (0, 400, 403, 404), (spelling, answer)
        for path in ("/approvals", "/api/holds", "/flows", "/options"):
            for spelling in spellings(path):
                answer = await raw(console, f"GET {spelling} HTTP/1.1\r\nHost: {host}\r\n{common}\r\n")
                assert status(answer) in (0, 303, 400, 403, 404), (spelling, answer)
                assert hold.digest.encode() not in answer
    assert await still_open(console, hold)


async def test_no_file_but_the_pages_own_is_served(console: RunningConsole) -> None:
    async with console.person("anna", "sre") as anna:
        host = console.url.removeprefix("http://")
        for folder in ("static", "doorward"):
            for name in (
                "../index.html", "..%2findex.html", "%2e%2e/index.html", "....//index.html", "..\\index.html",
                "..%5capp.py", "../../../../../../../../etc/passwd", "%2e%2e%2f%2e%2e%2fapp.py", "/etc/passwd",
                "%2fetc%2fpasswd", "..;/app.py", "static/../../app.py", "%c0%ae%c0%ae/app.py", ".", "..", "",
                "index.html%00.css", "__init__.py", "../assets/pages.css", "pages.css/", "pages.css%00", "~root",
            ):  # fmt: skip
                head = f"GET /{folder}/{name} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie(anna)}\r\n"
                answer = await raw(console, f"{head}Connection: close\r\n\r\n")
                assert status(answer) in (0, 400, 403, 404), (folder, name)
                for text in (b"root:", b"import ", b"<script", b"--ground"):
                    assert text not in answer, (folder, name)


async def test_a_request_that_two_could_read_differently_decides_nothing(console: RunningConsole) -> None:
    """Hosts, origins, tokens, lengths given twice; absolute targets; smuggled requests."""
    hold = await console.open_hold()
    async with console.person("anna", "sre") as anna:
        host, door = console.url.removeprefix("http://"), f"/api/holds/{hold.id}/approve"
        body = f'{{"reason": "a fine request", "digest": "{hold.digest}"}}'
        length, kind = f"Content-Length: {len(body)}", "Content-Type: application/json"
        own_host, origin, session = f"Host: {host}", f"Origin: {console.url}", f"Cookie: {cookie(anna)}"
        token, evil = f"Doorward-Token: {anna.token}", "http://evil.example"
        usual = [own_host, session, origin, token, kind, length, "Connection: close"]
        tries: dict[str, tuple[str, list[str]]] = {
            "an absolute target": (f"http://{host}{door}", usual),
            "an absolute target elsewhere": (f"{evil}{door}", usual),
            "a target with a name": (f"//evil.example{door}", usual),
            "a target with an authority": (f"@evil.example{door}", usual),
            "two hosts": (door, ["Host: evil.example", *usual]),
            "two hosts, ours first": (door, [*usual, "Host: evil.example"]),
            "our host twice": (door, [own_host, *usual]),
            "no host": (door, usual[1:]),
            "another host": (door, ["Host: evil.example", *usual[1:]]),
            "a host with a user": (door, [f"Host: evil@{host}", *usual[1:]]),
            "a host with a dot": (door, [f"Host: {host.replace(':', '.:')}", *usual[1:]]),
            "a host folded": (door, [f"Host: {host}\r\n .evil.example", *usual[1:]]),
            "two origins": (door, [f"Origin: {evil}", *usual]),
            "two origins, ours first": (door, [*usual, f"Origin: {evil}"]),
            "a null origin": (door, [own_host, session, "Origin: null", token, kind, length]),
            "a list of origins": (door, [own_host, session, f"Origin: {console.url} {evil}", token, kind, length]),
            "two tokens": (door, ["Doorward-Token: x", *usual]),
            "two tokens, ours first": (door, [*usual, "Doorward-Token: x"]),
            "an underscored token": (door, [own_host, session, origin, f"Doorward_Token: {anna.token}", kind, length]),
            "an underscored origin": (door, [own_host, session, f"_Origin: {console.url}", token, kind, length]),
            "two lengths": (door, [*usual, "Content-Length: 0"]),
            "a length and chunks": (door, [*usual, "Transfer-Encoding: chunked"]),
            "a list of lengths": (door, [*usual[:5], f"Content-Length: {len(body)}, 0"]),
            "chunks of a strange kind": (door, [*usual[:5], "Transfer-Encoding: xchunked"]),
            "another type": (door, [own_host, session, origin, token, "Content-Type: text/plain", length]),
            "no type": (door, [own_host, session, origin, token, length]),
        }
        for name, (target, lines) in tries.items():
            answer = await raw(console, f"POST {target} HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n" + body)
            assert status(answer) in (0, 400, 403), (name, answer)
            assert await still_open(console, hold), name
        for version in ("HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/3", "http/1.1", ""):
            answer = await raw(console, f"POST {door} {version}\r\n" + "\r\n".join(usual[1:]) + "\r\n\r\n" + body)
            assert status(answer) in (0, 400, 403), version
        smuggled = f"POST {door} HTTP/1.1\r\n" + "\r\n".join(usual) + "\r\n\r\n" + body
        for first in (
            f"GET /logged-out HTTP/1.1\r\n{own_host}\r\nContent-Length: 0\r\nContent-Length: {len(smuggled)}\r\n\r\n",
            f"GET /logged-out HTTP/1.1\r\n{own_host}\r\nX: a\rPOST {door} HTTP/1.1\r\n\r\n",
        ):
            without = smuggled.replace(session, "X: y")  # an attacker has no session of the reviewer
            await raw(console, first + without)
    assert await still_open(console, hold)


async def test_a_method_in_other_letters_is_another_method(console: RunningConsole) -> None:
    hold = await console.open_hold()
    async with console.person("anna", "sre") as anna:
        body = f'{{"reason": "a fine request", "digest": "{hold.digest}"}}'.encode()
        common = f"Host: {console.url.removeprefix('http://')}\r\nCookie: {cookie(anna)}\r\nOrigin: {console.url}\r\n"
        common += f"Doorward-Token: {anna.token}\r\nContent-Type: application/json\r\nConnection: close\r\n"
        for method in ("post", "Post", "POST\t", "POST\x0b", " POST", "POST,GET", "PO\xadST", "GETPOST", "\r\nPUT"):
            head = f"{method} /api/holds/{hold.id}/approve HTTP/1.1\r\n{common}Content-Length: {len(body)}\r\n\r\n"
            assert status(await raw(console, head, body)) in (0, 400, 403, 405), method
        for method in ("get", "Get", "GET\t"):
            answer = await raw(console, f"{method} /api/holds HTTP/1.1\r\n{common}\r\n")
            assert status(answer) in (0, 400, 403, 405), method
            assert hold.digest.encode() not in answer
    assert await still_open(console, hold)


async def test_heads_and_bodies_without_end_are_cut_off(console: RunningConsole) -> None:
    async with console.person("anna", "sre") as anna:
        host = console.url.removeprefix("http://")
        for head in (
            f"GET /{'a' * 100_000} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n",
            f"GET / HTTP/1.1\r\nHost: {host}\r\nX: {'a' * 100_000}\r\nConnection: close\r\n\r\n",
            f"GET / HTTP/1.1\r\nHost: {host}\r\n" + "X: a\r\n" * 20_000 + "\r\n",
            f"POST /logout HTTP/1.1\r\nHost: {host}\r\nContent-Length: 99999999999\r\n\r\n",
        ):
            assert status(await raw(console, head)) in (0, 400, 403, 413, 431)
        many = "&".join(f"f{number}=1" for number in range(6000))
        answer = await anna.post("/logout", content=many, headers={"Content-Type": "application/x-www-form-urlencoded"})
        assert answer.status_code in (303, 400)
        assert (await anna.browser.get("/logged-out")).status_code == 200
