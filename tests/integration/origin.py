#!/usr/bin/python3
"""A web server that misbehaves on request, and bodies that are known by name.

As a program: binds a free port of 127.0.0.1, prints `port=N` and serves until
its stdin ends. As a module: body() and digest() say what /gen/ and its
relatives send.

    /gen/BYTES/SEED[/EXTRA]  a generated body, never stored
    /chunked/BYTES/SEED      the same in chunks of odd sizes
    /close/BYTES/SEED        the same without a length, ended by the connection
    /slow/BYTES/SEED/MS      the same in ten pieces, MS apart
    /cut/BYTES/SEED          the length announced, half of it sent
    /cutchunked/BYTES/SEED   chunks without the last one
    /gate/NAME/BYTES/SEED    half of it, the rest once /open/NAME was asked for
    /hold/MS[/EXTRA]         answers after MS; counted, see /stats
    /redirect/N/BYTES/SEED   N redirects, then /gen/BYTES/SEED
    /loop                    redirects to itself
    /to/SCHEME               redirects to SCHEME://127.0.0.1/x
    /status/CODE             an empty answer of that status
    /flaky/NAME/N/CODE       CODE for the first N times, then 200
    /empty                   200 with no body
    /encoded                 gzip bytes, said to be in gzip's Content-Encoding
    /garbage                 something that is not HTTP
    /stall                   a header without an end
    /stats                   JSON: requests, holding, holding_max, by path
"""
import asyncio
import collections
import functools
import gzip
import hashlib
import json
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "origin"))
import until_stdin_ends  # noqa: E402

BLOCK_BYTES = 1 << 20
ENCODED = gzip.compress(b"as it is on the wire" * 100, mtime=0)


@functools.lru_cache(maxsize=8)
def _block(seed):
    return random.Random(seed).randbytes(BLOCK_BYTES)


def pieces(size, seed):
    """Yields the body; each block begins with its number, so that order and
    repetition show in the digest."""
    tail = memoryview(_block(seed))[8:]
    for number in range(size // BLOCK_BYTES):
        yield number.to_bytes(8, "big")
        yield tail
    rest = size % BLOCK_BYTES
    if rest:
        last = (size // BLOCK_BYTES).to_bytes(8, "big") + bytes(tail)
        yield memoryview(last)[:rest]


def body(size, seed):
    return b"".join(pieces(size, seed))


@functools.lru_cache(maxsize=4096)
def digest(size, seed, algorithm="sha512"):
    """The hex digest of that body."""
    state = hashlib.new(algorithm)
    for piece in pieces(size, seed):
        state.update(piece)
    return state.hexdigest()


class Origin:
    def __init__(self):
        self.requests = 0
        self.holding = 0
        self.holding_max = 0
        self.by_path = collections.Counter()
        self.gates = collections.defaultdict(asyncio.Event)

    async def serve(self, reader, writer):
        try:
            while await self.serve_one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError,
                asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def serve_one(self, reader, writer):
        """Answers one request. Returns whether the connection stays."""
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ", 2)[1].decode("ascii")
        self.requests += 1
        self.by_path[path] += 1
        what, *args = path.lstrip("/").split("/")
        handler = getattr(self, "on_" + what, None)
        if handler is None:
            return await self.answer(writer, 404, b"no such thing")
        return await handler(writer, path, *args)

    async def answer(self, writer, status, content=b"", *headers):
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}",
                 *headers, "", ""]
        writer.write("\r\n".join(lines).encode("ascii") + content)
        await writer.drain()
        return True

    async def head(self, writer, *headers):
        lines = ["HTTP/1.1 200 OK", *headers, "", ""]
        writer.write("\r\n".join(lines).encode("ascii"))
        await writer.drain()

    # --- Bodies ---

    async def on_gen(self, writer, _path, size, seed, *_extra):
        await self.head(writer, f"Content-Length: {size}")
        for piece in pieces(int(size), int(seed)):
            writer.write(piece)
            await writer.drain()
        return True

    async def chunks(self, writer, size, seed):
        await self.head(writer, "Transfer-Encoding: chunked")
        odd = random.Random(size)
        for piece in pieces(size, seed):
            at = 0
            while at < len(piece):
                part = piece[at:at + odd.choice((1, 17, 4096, 70000))]
                writer.write(b"%x\r\n" % len(part) + part + b"\r\n")
                at += len(part)
            await writer.drain()

    async def on_chunked(self, writer, _path, size, seed):
        await self.chunks(writer, int(size), int(seed))
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    async def on_cutchunked(self, writer, _path, size, seed):
        await self.chunks(writer, int(size), int(seed))
        return False

    async def on_close(self, writer, _path, size, seed):
        await self.head(writer, "Connection: close")
        for piece in pieces(int(size), int(seed)):
            writer.write(piece)
            await writer.drain()
        return False

    async def on_cut(self, writer, _path, size, seed):
        await self.head(writer, f"Content-Length: {size}")
        writer.write(body(int(size), int(seed))[:int(size) // 2])
        await writer.drain()
        return False

    async def on_slow(self, writer, _path, size, seed, ms):
        await self.head(writer, f"Content-Length: {size}")
        content = body(int(size), int(seed))
        step = max(1, len(content) // 10)
        for at in range(0, len(content), step):
            writer.write(content[at:at + step])
            await writer.drain()
            await asyncio.sleep(int(ms) / 1000)
        return True

    async def on_gate(self, writer, _path, name, size, seed):
        await self.head(writer, f"Content-Length: {size}")
        content = body(int(size), int(seed))
        writer.write(content[:len(content) // 2])
        await writer.drain()
        await self.gates[name].wait()
        writer.write(content[len(content) // 2:])
        await writer.drain()
        return True

    async def on_open(self, writer, _path, name):
        self.gates[name].set()
        return await self.answer(writer, 200)

    # --- Answers ---

    async def on_hold(self, writer, _path, ms, *_extra):
        self.holding += 1
        self.holding_max = max(self.holding_max, self.holding)
        try:
            await asyncio.sleep(int(ms) / 1000)
        finally:
            self.holding -= 1
        return await self.answer(writer, 200, b"held")

    async def on_redirect(self, writer, _path, left, size, seed):
        left = int(left)
        to = f"/redirect/{left - 1}/{size}/{seed}" if left > 1 \
            else f"/gen/{size}/{seed}"
        return await self.answer(writer, 302, b"elsewhere", f"Location: {to}")

    async def on_loop(self, writer, path):
        return await self.answer(writer, 301, b"", f"Location: {path}")

    async def on_to(self, writer, _path, scheme):
        return await self.answer(writer, 302, b"",
                                 f"Location: {scheme}://127.0.0.1/x")

    async def on_status(self, writer, _path, code):
        return await self.answer(writer, int(code))

    async def on_flaky(self, writer, path, _name, times, code):
        if self.by_path[path] <= int(times):
            return await self.answer(writer, int(code), b"not now")
        return await self.answer(writer, 200, b"at last")

    async def on_empty(self, writer, _path):
        return await self.answer(writer, 200)

    async def on_encoded(self, writer, _path):
        return await self.answer(writer, 200, ENCODED,
                                 "Content-Encoding: gzip")

    async def on_garbage(self, writer, _path):
        writer.write(b"\x00\x01 this is not HTTP\r\n\r\n")
        await writer.drain()
        return False

    async def on_stall(self, writer, _path):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")
        await writer.drain()
        await asyncio.Event().wait()

    async def on_stats(self, writer, _path):
        content = json.dumps({
            "requests": self.requests, "holding": self.holding,
            "holding_max": self.holding_max, "by_path": self.by_path})
        return await self.answer(writer, 200, content.encode("ascii"))


if __name__ == "__main__":
    until_stdin_ends.serve(Origin().serve)
