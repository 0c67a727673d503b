#!/usr/bin/python3
"""The origin of the chaos run: quick, paced on request, faulty by plan.

Usage: origin.py ADDRESS. Binds ORIGINS free ports of the address, prints
`ports=A,B,...`, and serves until its stdin ends. Its faults are its own and
depend on nothing but how often a URL was answered with one, so what becomes of
a URL in the end does not depend on chance.

    /b/NUMBER/SIZE            a body, see bodies.py; so all below that have a SIZE
    /chunked/NUMBER/SIZE      in chunks of odd sizes
    /close/NUMBER/SIZE        without a length, ended by the connection
    /redirect/NUMBER/SIZE     to /b/NUMBER/SIZE
    /slow/NUMBER/SIZE/MS      in ten pieces over MS
    /flaky/NUMBER/SIZE/N      500 for N times
    /cut/NUMBER/SIZE          ends in the middle once
    /absent/NUMBER            404
    /status/NUMBER/CODE       that status, always
    /garble/NUMBER            what is not HTTP
    /pace/N                   answer no more than N of these a second; 0: no limit
    /stats                    JSON: {"requests": N, "faults": {path: N}}
"""
import asyncio
import collections
import json
import socket
import sys

import bodies

BLOCK = memoryview(bodies.block())


class Origin:
    """What the connections share."""

    def __init__(self):
        self.requests = 0
        self.asked = collections.Counter()
        self.faults = collections.Counter()
        self.gap = 0.0  # seconds between answers
        self.slot = 0.0  # when the next one may go


class Connection(asyncio.Protocol):
    """One client; one request at a time, as without pipelining."""

    def __init__(self, origin):
        self.origin = origin
        self.loop = asyncio.get_running_loop()
        self.input = b""
        self.timer = None

    def connection_made(self, transport):
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc):
        # Nobody is there to answer: no answer, no fault.
        if self.timer:
            self.timer.cancel()

    def data_received(self, data):
        self.input += data
        while b"\r\n\r\n" in self.input:
            head, self.input = self.input.split(b"\r\n\r\n", 1)
            path = head.split(b" ", 2)[1].split(b"?")[0].decode("latin-1")
            self.on_request(path)

    def on_request(self, path):
        origin = self.origin
        what, *args = path.strip("/").split("/")
        if what == "pace":
            origin.gap = 1 / float(args[0]) if float(args[0]) else 0
            self.answer(200, b"")
            return
        if what == "stats":
            self.answer(200, json.dumps({
                "requests": origin.requests, "faults": origin.faults,
                "asked": len(origin.asked)}).encode("ascii"))
            return
        now = self.loop.time()
        origin.slot = max(origin.slot + origin.gap, now - 0.05)
        if origin.slot <= now + 0.001:
            self.serve(path, what, args)
        else:
            # Not longer: a pace that was slow must not outlast it.
            self.timer = self.loop.call_at(min(origin.slot, now + 2),
                                           self.serve, path, what, args)

    def serve(self, path, what, args):
        self.timer = None
        self.origin.requests += 1
        self.origin.asked[path] += 1
        getattr(self, "on_" + what, self.on_absent)(path, *args)

    # --- Answers ---

    def head(self, status, *headers):
        return "\r\n".join([f"HTTP/1.1 {status} X", *headers, "", ""]) \
            .encode("ascii")

    def answer(self, status, content, *headers):
        self.transport.write(
            self.head(status, f"Content-Length: {len(content)}", *headers) +
            bytes(content))

    def content(self, number, size):
        at = bodies.offset(int(number), int(size))
        return BLOCK[at:at + int(size)]

    def on_b(self, _path, number, size):
        self.answer(200, self.content(number, size))

    def on_chunked(self, _path, number, size):
        content = self.content(number, size)
        out = [self.head(200, "Transfer-Encoding: chunked")]
        at = 0
        while at < len(content):
            part = content[at:at + (1, 17, 4096, 70000)[at % 4]]
            out += [b"%x\r\n" % len(part), part, b"\r\n"]
            at += len(part)
        self.transport.write(b"".join(out) + b"0\r\n\r\n")

    def on_close(self, _path, number, size):
        self.transport.write(self.head(200, "Connection: close") +
                             bytes(self.content(number, size)))
        self.transport.close()

    def on_redirect(self, _path, number, size):
        self.answer(302, b"elsewhere", f"Location: /b/{number}/{size}")

    def on_slow(self, _path, number, size, ms):
        content = self.content(number, size)
        step = len(content) // 10 + 1
        self.transport.write(self.head(200, f"Content-Length: {size}"))
        self.drip([content[at:at + step]
                   for at in range(0, len(content), step)], int(ms) / 10000)

    def drip(self, pieces, pause_s):
        if pieces:
            self.transport.write(bytes(pieces[0]))
            self.timer = self.loop.call_later(pause_s, self.drip, pieces[1:],
                                              pause_s)
        else:
            self.timer = None

    def on_flaky(self, path, number, size, times):
        if self.origin.faults[path] < int(times):
            self.origin.faults[path] += 1
            self.answer(500, b"not now")
        else:
            self.on_b(path, number, size)

    def on_cut(self, path, number, size):
        if self.origin.faults[path]:
            self.on_b(path, number, size)
            return
        self.origin.faults[path] += 1
        content = self.content(number, size)
        self.transport.write(self.head(200, f"Content-Length: {size}") +
                             bytes(content[:len(content) // 2]))
        self.transport.close()

    def on_status(self, path, _number, code):
        self.origin.faults[path] += 1
        self.answer(int(code), b"never")

    def on_garble(self, _path, _number):
        self.transport.write(b"\x00\x01 this is not HTTP\r\n\r\n")
        self.transport.close()

    def on_absent(self, _path, *_args):
        self.answer(404, b"no such thing")


async def main(address):
    loop = asyncio.get_running_loop()
    origin = Origin()
    servers = [await loop.create_server(lambda: Connection(origin), address, 0,
                                        backlog=1024)
               for _ in range(bodies.ORIGINS)]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    print("ports=" + ",".join(map(str, ports)), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
