"""Recorded flows as HAR 1.2 (http://www.softwareishard.com/blog/har-12-spec), entry by entry.

The file is a head, entries with commas between, and an end, so that it can be written
without holding it. What HAR has no word for stands in `_doorward`, as the format allows for
names with an underscore, and in words in `comment`. Pure; `tests/core/test_har.py` holds it
against the JSON schema.
"""

import base64
import json
from typing import Any, Final
from urllib.parse import unquote_plus, urlsplit

from doorward.core.recorded import Kept, Message, RecordedFlow, mask_rows, text_of

_UNKNOWN_URL: Final = "about:blank"
_HTTP: Final = "HTTP/1.1"  # what the record stands for; versions are not recorded

har_end: Final = b"\n]}}\n"


def har_begin(version: str) -> bytes:
    """Return what stands before the entries; `version` is doorward's."""
    creator = _json({"name": "doorward", "version": version})
    comment = _json("masked contents of a doorward record; see docs/looking-back.md")
    return b'{"log": {"version": "1.2", "creator": %b, "comment": %b, "entries": [\n' % (creator, comment)


def har_entry(flow: RecordedFlow) -> bytes:
    """Return one entry, without a comma."""
    waited = flow.duration_ms if flow.duration_ms is not None else 0
    entry: dict[str, Any] = {
        "startedDateTime": flow.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "time": waited,
        "request": _request(flow),
        "response": _response(flow),
        "cache": {},
        "timings": {"send": 0, "wait": waited, "receive": 0},
        "_doorward": {
            "request": flow.request,
            "decision": flow.decision,
            "executed": flow.executed,
            "principal": flow.principal,
            "owner": flow.owner,
            "session": flow.session,
            "label": flow.label,
            "target": flow.target,
            "risk": flow.risk,
            "rules": list(flow.rules),
            "policy": flow.policy,
            "hold": flow.hold,
            "status": flow.status,
            "cause": flow.cause,
            "count": flow.count,
            "masks": mask_rows(flow),
            "request_body": flow.asked.kept.value,
            "response_body": flow.answered.kept.value if flow.answered else Kept.NOT_KEPT.value,
        },
    }
    if comment := text_of(flow):
        entry["comment"] = comment
    return _json(entry)


def _request(flow: RecordedFlow) -> dict[str, Any]:
    request: dict[str, Any] = {
        "method": flow.method,
        "url": flow.url or _UNKNOWN_URL,
        "httpVersion": _HTTP,
        "cookies": [],  # masked as a whole where they are recorded at all
        "headers": _headers(flow.asked),
        "queryString": [{"name": name, "value": value} for name, value in _query(flow.url)],
        "headersSize": -1,
        "bodySize": flow.asked.size if flow.asked.kept in (Kept.WHOLE, Kept.NONE) else -1,
    }
    if flow.asked.kept is not Kept.NONE:
        mime = flow.asked.header("content-type") or ""
        text = _text(flow.asked.body)
        if text is not None:
            request["postData"] = {"mimeType": mime, "text": text}
        else:  # HAR has no encoding for what was posted
            encoded = base64.b64encode(flow.asked.body).decode()
            request["postData"] = {"mimeType": mime, "text": encoded, "_encoding": "base64", "comment": "base64"}
        if flow.asked.kept is not Kept.WHOLE:
            request["postData"]["comment"] = f"body: {flow.asked.kept}"
    return request


def _response(flow: RecordedFlow) -> dict[str, Any]:
    answered = flow.answered
    content: dict[str, Any] = {"size": 0, "mimeType": ""}
    if answered is not None:
        content = {"size": answered.size, "mimeType": answered.header("content-type") or ""}
        if answered.kept in (Kept.WHOLE, Kept.CUT):
            text = _text(answered.body)
            if text is not None:
                content["text"] = text
            else:
                content |= {"text": base64.b64encode(answered.body).decode(), "encoding": "base64"}
        if answered.kept not in (Kept.WHOLE, Kept.NONE):
            content["comment"] = f"body: {answered.kept}"
    return {
        # HAR viewers take 0 for "no answer"; what the gateway itself said stands in `_doorward`
        "status": (flow.status or 0) if answered is not None else 0,
        "statusText": "",
        "httpVersion": _HTTP,
        "cookies": [],
        "headers": _headers(answered),
        "content": content,
        "redirectURL": (answered.header("location") or "") if answered is not None else "",
        "headersSize": -1,
        "bodySize": answered.size if answered is not None and answered.kept in (Kept.WHOLE, Kept.NONE) else -1,
    }


def _headers(message: Message | None) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in (message.headers if message else ())]


def _query(url: str) -> list[tuple[str, str]]:
    try:
        query = urlsplit(url).query
    except ValueError:
        return []
    pairs = [part.partition("=") for part in query.split("&") if part]
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in pairs]


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _json(value: object) -> bytes:
    """JSON that stays JSON when a page is built round it: no `</script>`, no separators of JavaScript's lines."""
    return json.dumps(value).replace("<", "\\u003c").encode()
