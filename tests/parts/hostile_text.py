"""Text that runs, repaints or hides where a page or a terminal shows it raw, and an agent that puts it everywhere."""

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping

from tests.parts.deployment import Deployment
from tests.parts.raw_agent import connect_head, read_answer, tls_inside

HTML = (
    "<img src=x onerror=window.pwned=1>",
    "'\"><script>window.pwned=1</script>",
    "</script></style></textarea></title></pre><svg onload=window.pwned=1>",
    "<a href=javascript:window.pwned=1>click</a>",
    "{{71993*3}}${71993*3}{%print(71993*3)%}#{71993*3}",  # 215979
)
TERMINAL = (
    "\x1b[2J\x1b[1;31mowned\x1b[0m",
    "\x1b]0;owned\x07\x1b]8;;http://evil.example\x1b\\x\x1b]8;;\x1b\\",
    "\x9b2J\x9d0;owned\x9c\x85\x8d",
    "\x00\x08\x08\r\x0b\x0c\x7f",
)
STEERING = (
    "a\u202eetorp/\u2066x\u2069\u200fb",
    "a\u200bb\u2060c\ufeffd\u00ade\U000e0041f",
    "a\u3164b\u2800c\u034fd\ufe0fe\u115ff",
)
MARKUP = ("[bold red]x[/]", "\\[link=http://evil.example]x[/link]", "[/]", "\\[/]", ":warning:", "\\\\[blink]x")
LONG = "long-" + "x" * 3000
ALL = (*HTML, *TERMINAL, *STEERING, *MARKUP, LONG, "\ud800x\udfff")

# What a terminal takes as more than a letter, and what draws nothing or elsewhere.
_RAW = re.compile("[\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_STYLES = re.compile(r"\x1b\[[0-9;]*m")  # by which our own tables are drawn


def raw_in(text: str, *, styled: bool = False) -> list[str]:
    """What steers, hides or repaints in a text of several lines; `styled` lets colours of our own pass."""
    left = _STYLES.sub("", text) if styled else text
    bad = {each for each in left if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp") and each not in "\n\t"}
    return [ascii(each) for each in sorted(bad | set(_RAW.findall(left)))]


def wire(text: str) -> bytes:
    """The text as bytes, with lone surrogates as CESU writers send them."""
    return text.encode("utf-8", "surrogatepass")


def requests(text: str) -> Iterator[bytes]:
    """Requests with the text in each place that an agent writes; many are refused, and that is recorded too."""
    raw = wire(text).replace(b"\r", b"").replace(b"\n", b"").replace(b"\x00", b"")
    coded = b"".join(b"%%%02X" % each for each in wire(text)[:200])
    value = raw.strip() or b"x"
    body = wire(json.dumps({text: [text], "name": text}, ensure_ascii=False))
    disposition = b'multipart/form-data; boundary=b; name="' + value.replace(b'"', b"") + b'"'

    def request(path: bytes, headers: Mapping[bytes, bytes], content: bytes = b"", verb: bytes = b"POST") -> bytes:
        lines = {b"Host": b"billing.internal", b"Content-Length": b"%d" % len(content), **headers}
        head = b"".join(b"%s: %s\r\n" % pair for pair in lines.items())
        return verb + b" /v1/" + path + b" HTTP/1.1\r\n" + head + b"\r\n" + content

    kind = {b"Content-Type": b"application/json"}
    yield request(b"coded/" + coded, {}, body)
    yield request(raw.replace(b" ", b"+"), {}, body)
    yield request(b"query?q=" + coded + b"&" + coded[:60] + b"=1", kind, body, b"DELETE")
    yield request(b"query?q=" + raw.replace(b" ", b"+"), kind, body)
    yield request(b"value", {b"X-Note": value, b"User-Agent": value, b"Referer": value, **kind}, body, b"DELETE")
    yield request(b"name", {value.replace(b" ", b"") + b"-X": b"1"}, body)
    yield request(b"type", {b"Content-Type": b"text/html; charset=" + value}, raw)
    yield request(b"file", {b"Content-Type": disposition, b"Content-Disposition": disposition}, raw)
    yield request(b"host", {b"Host": value})
    yield request(b"raw", {b"Content-Type": b"text/plain"}, wire(text), b"DELETE")
    yield request(b"broken", kind, b'{"name": "' + wire(text) + b'", "x": "\\ud800"}')
    yield request(b"method", {}, b"", raw.replace(b" ", b"")[:40] or b"X")


def speak(deployment: Deployment, text: str, name: str) -> int:
    """An agent sends them all, under the text as its name and label where it can; how many went out."""
    short = text[:200]
    as_text = deployment.provider.token(short, groups=["agents", short], owner=f"owner {short}")
    plain_name = deployment.provider.token(name, owner="alice")
    sent = 0
    for request in requests(text):
        for token, label in ((as_text, short.replace(":", "")), (plain_name, "agent")):
            with deployment.raw() as connection:
                connection.sendall(connect_head(deployment, "billing.internal:443", token, label=label))
                if not connection.recv(65536).startswith(b"HTTP/1.1 200"):
                    continue
                with tls_inside(deployment, connection) as inside:
                    inside.sendall(request)
                    sent += read_answer(inside).startswith(b"HTTP/1.1 200")
            break
    return sent
