"""A target that says any bytes at all, on the test's own loop, and remembers the bytes it got."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Self

OK = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{"ok": true}'


class RawTarget:
    """`async with RawTarget() as target:`; `answer` is sent for each head that arrives, with its body."""

    def __init__(self, tls: tuple[Path, Path] | None = None, host: str = "127.0.0.1") -> None:
        self.answer: bytes | Callable[[bytes], bytes] = OK
        self.then_close = False
        self.reads_bodies = True
        self.got: list[bytes] = []  # requests, head and body, as they arrived
        self.left: list[bytes] = []  # what came behind them and is no whole request
        self.connections = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.server_name: str | None = None
        self._host = host
        self.port = 1
        self._context: ssl.SSLContext | None = None
        if tls is not None:
            self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._context.load_cert_chain(*tls)
            self._context.sni_callback = self._note_name
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"{'https' if self._context else 'http'}://{self._host}:{self.port}"

    def _note_name(self, _: object, name: str | None, __: object) -> None:
        self.server_name = name

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
                )
                whole = head + await reader.readexactly(length if self.reads_bodies else 0)
                self.got.append(whole)
                writer.write(self.answer(whole) if callable(self.answer) else self.answer)
                await writer.drain()
                if self.then_close:
                    return
                if length and not self.reads_bodies:
                    await asyncio.Event().wait()
        except asyncio.IncompleteReadError as error:
            self.left += [error.partial] if error.partial else []
        except OSError:
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
