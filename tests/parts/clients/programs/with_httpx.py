"""Arguments: METHOD URL and so on; one client."""

import sys

import httpx

BODY = {"name": "Bea"}


def main(words: list[str]) -> None:
    with httpx.Client(timeout=60) as client:
        for method, url in zip(words[::2], words[1::2], strict=True):
            body = BODY if method == "POST" else None
            with client.stream(method, url, json=body) as answer:
                head = "".join(f"\n{name}: {value}" for name, value in answer.headers.items())
                print(f"{answer.http_version} {answer.status_code}{head}\n", flush=True)
                for piece in answer.iter_text():
                    print(piece, end="", flush=True)


main(sys.argv[1:])
