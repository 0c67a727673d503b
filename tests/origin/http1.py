"""HTTP/1.1 as far as sins need it: a request read, bytes written as they are.

Nothing here keeps to the rules by itself; a handler writes what it wants.
"""
import asyncio
import fcntl
import socket
import struct


SIOCOUTQ = 0x5411  # bytes that the peer has not acknowledged


class Request:
    def __init__(self, head):
        first, *lines = head.decode("latin-1").split("\r\n")
        self.method, self.target = first.split(" ")[:2]
        self.headers = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if colon:
                self.headers[name.strip().lower()] = value.strip()

    def range_start(self):
        """N of `Range: bytes=N-`, or None."""
        value = self.headers.get("range", "")
        if not value.startswith("bytes=") or not value.endswith("-"):
            return None
        return int(value[6:-1])


class Cut(Exception):
    """The connection ends here."""


class Connection:
    """What a handler answers with."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer
        # Several writes in a row would wait for the peer's ACKs.
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def read(self):
        """The next request, or None at the end."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError,
                ConnectionError):
            return None
        return Request(head[:-4])

    async def send(self, *pieces):
        """In one write: a test that is not about packets must not depend on
        how they come."""
        self.writer.write(b"".join(pieces))
        await self.writer.drain()

    def head(self, status, headers, version="1.1"):
        lines = [f"HTTP/{version} {status} X"]
        lines += [f"{name}: {value}" for name, value in headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    async def answer(self, status, content=b"", headers=(), version="1.1"):
        await self.send(self.head(
            status, [("Content-Length", len(content)), *headers], version),
            content)

    async def drained(self):
        """Until the peer's kernel has all: a reset would lose the rest."""
        sock = self.writer.get_extra_info("socket")
        while not self.writer.transport.is_closing() and (
                self.writer.transport.get_write_buffer_size() or
                struct.unpack("i", fcntl.ioctl(sock.fileno(), SIOCOUTQ,
                                               b"\0\0\0\0"))[0]):
            await asyncio.sleep(0.001)

    def close(self, is_reset=False):
        """Ends it, by a reset if wanted: what was not read yet is lost."""
        if is_reset and not self.writer.transport.is_closing():
            self.writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.close()
