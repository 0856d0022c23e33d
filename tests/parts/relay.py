"""A relay on loopback: how many connections a client opens to what lies behind, and how each begins."""

import contextlib
import select
import socket
import threading
from typing import Self


class Relay:
    """`with Relay(port) as relay:`; it hands bytes on, both ways, and knows none of them."""

    def __init__(self, behind: int) -> None:
        self.begun: list[bytes] = []  # the first bytes of each connection
        self._behind = behind

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread up
        self._thread.join()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener is shut down
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._behind)) as behind, contextlib.suppress(OSError):
            first = client.recv(65536)
            self.begun.append(first)
            behind.sendall(first)
            other = {client: behind, behind: client}
            still = set(other)
            while still:
                for one in select.select(list(still), [], [])[0]:
                    if data := one.recv(65536):
                        other[one].sendall(data)
                    else:
                        still.discard(one)
                        other[one].shutdown(socket.SHUT_WR)
