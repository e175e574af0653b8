"""Clients as end users have them: websocket, text and frame, over plain blocking sockets.

A client yields items: a message as `str` (or `bytes` when it is not text), `Closed` once at the end.
"""

import os
import socket
import struct
from dataclasses import dataclass

# Seconds after which a client that waits for something gives up.
PATIENCE = 10.0


class Late(Exception):
    """Nothing came within PATIENCE."""


@dataclass(frozen=True)
class Closed:
    """The connection's end; `code` is that of a websocket close frame, if there was one."""

    code: int | None = None


class Client:
    """One connection. Subclasses know how messages are framed."""

    def __init__(self, name, address):
        self.name = name
        self.inbox = []
        self.is_open = True
        self._buffer = b""
        self._socket = socket.create_connection(address, timeout=PATIENCE)
        self.port = self._socket.getsockname()[1]

    def open(self, target):
        """Does what must be done before messages; `target` matters to websocket only."""

    def send(self, text):
        """Sends one message."""
        self._socket.sendall(self._encode(text.encode()))

    def receive(self):
        """The next item; after `Closed` nothing more comes."""
        while True:
            item = self._decode()
            if item is not None:
                return self._seen(item)
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                raise Late(f"{self.name} waited for a message") from None
            except ConnectionResetError:
                data = b""
            if not data:
                return self._seen(Closed())
            self._buffer += data

    def close(self):
        """Leaves without a word."""
        self.is_open = False
        self._socket.close()

    def _seen(self, item):
        if isinstance(item, Closed):
            self.close()
        return item

    def _take(self, count):
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def _encode(self, body):
        raise NotImplementedError

    def _decode(self):
        raise NotImplementedError


class TextClient(Client):
    """Messages end with a newline."""

    def _encode(self, body):
        return body + b"\n"

    def _decode(self):
        end = self._buffer.find(b"\n")
        return None if end < 0 else as_text(self._take(end + 1)[:-1])


class FrameClient(Client):
    """Messages begin with their whole length."""

    def _encode(self, body):
        return struct.pack(">I", len(body) + 4) + body

    def _decode(self):
        if len(self._buffer) < 4:
            return None
        (size,) = struct.unpack(">I", self._buffer[:4])
        return None if len(self._buffer) < size else as_text(self._take(size)[4:])


class WebsocketClient(Client):
    """RFC 6455, as much of it as servers send."""

    TEXT, BINARY, CLOSE = 1, 2, 8

    def open(self, target):
        lines = [
            f"GET {target} HTTP/1.1",
            "Host: chat.example:8282",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            # Always the same, so that transcripts are.
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Cookie: lang=de; token=a%20b= ; broken",
            "X-Forwarded-For: 10.0.0.1",
            "X-Forwarded-For: 10.0.0.2",
        ]
        self._socket.sendall("\r\n".join(lines + ["", ""]).encode())
        while b"\r\n\r\n" not in self._buffer:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError("no answer to the handshake")
            self._buffer += data
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        if not head.startswith(b"HTTP/1.1 101 "):
            raise ConnectionError(head.decode(errors="replace"))

    def leave(self):
        """Leaves with a close frame, and waits for the server's."""
        self._socket.sendall(self._frame(self.CLOSE, struct.pack(">H", 1000)))

    def _encode(self, body):
        return self._frame(self.TEXT, body)

    def _frame(self, opcode, body):
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(body))
        if len(body) < 126:
            size = struct.pack(">B", 128 | len(body))
        elif len(body) < 65536:
            size = struct.pack(">BH", 128 | 126, len(body))
        else:
            size = struct.pack(">BQ", 128 | 127, len(body))
        return bytes([128 | opcode]) + size + mask + masked

    def _decode(self):
        if len(self._buffer) < 2:
            return None
        size, start = self._buffer[1] & 127, 2
        if size >= 126:
            start = 4 if size == 126 else 10
            if len(self._buffer) < start:
                return None
            size = int.from_bytes(self._buffer[2:start], "big")
        if len(self._buffer) < start + size:
            return None
        opcode = self._buffer[0] & 15
        return self._item(opcode, self._take(start + size)[start:])

    def _item(self, opcode, body):
        if opcode == self.CLOSE:
            return Closed(int.from_bytes(body[:2], "big") if body else None)
        text = as_text(body)
        # PHP sends bytes that are no text in text frames, which we do not: a deliberate difference.
        return text if opcode == self.TEXT or isinstance(text, bytes) else {"binary": text}


def as_text(body):
    """`body` as text, or as it is when it is none."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


KINDS = {"websocket": WebsocketClient, "text": TextClient, "frame": FrameClient}
