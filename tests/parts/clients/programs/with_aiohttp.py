"""Arguments: METHOD URL and so on; one session, told to look at the environment."""

import asyncio
import sys

import aiohttp

BODY = {"name": "Bea"}


async def main(words: list[str]) -> None:
    async with aiohttp.ClientSession(trust_env=True) as session:
        for method, url in zip(words[::2], words[1::2], strict=True):
            body = BODY if method == "POST" else None
            async with session.request(method, url, json=body) as answer:
                head = "".join(f"\n{name}: {value}" for name, value in answer.headers.items())
                version = f"{answer.version.major}.{answer.version.minor}" if answer.version else "?"
                print(f"HTTP/{version} {answer.status}{head}\n", flush=True)
                async for piece in answer.content.iter_any():
                    print(piece.decode(), end="", flush=True)


asyncio.run(main(sys.argv[1:]))
