"""Arguments: METHOD URL and so on; one session."""

import sys

import requests

BODY = {"name": "Bea"}


def main(words: list[str]) -> None:
    with requests.Session() as session:
        for method, url in zip(words[::2], words[1::2], strict=True):
            body = BODY if method == "POST" else None
            with session.request(method, url, json=body, stream=True, timeout=60) as answer:
                head = "".join(f"\n{name}: {value}" for name, value in answer.headers.items())
                print(f"HTTP/{answer.raw.version / 10} {answer.status_code}{head}\n", flush=True)
                for piece in answer.raw.stream(amt=None, decode_content=True):
                    print(piece.decode(), end="", flush=True)


main(sys.argv[1:])
