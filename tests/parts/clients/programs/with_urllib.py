"""Arguments: METHOD URL and so on."""

import json
import sys
from urllib.error import HTTPError
from urllib.request import Request, urlopen

BODY = json.dumps({"name": "Bea"}).encode()


def main(words: list[str]) -> None:
    for method, url in zip(words[::2], words[1::2], strict=True):
        body = BODY if method == "POST" else None
        asked = Request(url, body, {"Content-Type": "application/json"} if body else {}, method=method)
        try:
            answer = urlopen(asked, timeout=60)
        except HTTPError as error:
            answer = error
        with answer:
            version = getattr(answer, "version", None) or answer.fp.version
            head = "".join(f"\n{name}: {value}" for name, value in answer.headers.items())
            print(f"HTTP/{version / 10} {answer.status}{head}\n", flush=True)
            while piece := answer.read1():
                print(piece.decode(), end="", flush=True)


main(sys.argv[1:])
