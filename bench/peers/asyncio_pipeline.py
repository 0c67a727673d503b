#!/usr/bin/python3
"""A peer: asyncio + uvloop + aiohttp, digests in a pool of processes.

    asyncio_pipeline.py LIST [--connections 64] [--processes N]

Prints sha512sum lines; exits 1 if a URL failed. Well tuned as such pipelines go:
one session with one connector, no compression, bodies handed to the pool in
batches (a message to a process costs more than the digest of a small body), a
bounded number of batches in flight. A body larger than a batch is a batch of its
own, and each batch is pickled once.
"""
import argparse
import asyncio
import concurrent.futures
import hashlib
import os
import sys

import aiohttp
import uvloop

BATCH_BODIES = 256
BATCH_BYTES = 1024 * 1024


def digest_batch(bodies):
    """In a process of the pool: digests of the bodies, in their order."""
    return [hashlib.sha512(body).hexdigest() for body in bodies]


class Pipeline:
    def __init__(self, pool, batches_max):
        self.pool = pool
        self.slots = asyncio.Semaphore(batches_max)
        self.urls = []
        self.bodies = []
        self.bytes = 0
        self.tasks = set()
        self.failed = 0

    async def add(self, url, body):
        self.urls.append(url)
        self.bodies.append(body)
        self.bytes += len(body)
        if len(self.bodies) >= BATCH_BODIES or self.bytes >= BATCH_BYTES:
            await self.flush()

    async def flush(self):
        if not self.bodies:
            return
        urls, bodies = self.urls, self.bodies
        self.urls, self.bodies, self.bytes = [], [], 0
        await self.slots.acquire()
        task = asyncio.create_task(self.digest(urls, bodies))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def digest(self, urls, bodies):
        loop = asyncio.get_running_loop()
        try:
            sums = await loop.run_in_executor(self.pool, digest_batch, bodies)
        finally:
            self.slots.release()
        sys.stdout.write("".join(f"{s}  {u}\n" for s, u in zip(sums, urls)))

    async def work(self, session, urls):
        for url in urls:
            try:
                async with session.get(url) as response:
                    response.raise_for_status()
                    body = await response.read()
            except aiohttp.ClientError as error:
                self.failed += 1
                print(f"{url}: {error}", file=sys.stderr)
                continue
            await self.add(url, body)


async def run(options):
    connector = aiohttp.TCPConnector(limit=options.connections)
    timeout = aiohttp.ClientTimeout(total=None, sock_read=60)
    with concurrent.futures.ProcessPoolExecutor(options.processes) as pool, \
            open(options.list, encoding="ascii") as lines:
        pipeline = Pipeline(pool, 2 * options.processes)
        # One iterator for all: each worker takes the next line when it is free.
        urls = (line.rstrip("\n") for line in lines)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout,
                                         read_bufsize=256 * 1024,
                                         auto_decompress=False) as session:
            await asyncio.gather(*(pipeline.work(session, urls)
                                   for _ in range(options.connections)))
        await pipeline.flush()
        while pipeline.tasks:
            await asyncio.gather(*pipeline.tasks)
    return 1 if pipeline.failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("list")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    uvloop.install()
    sys.exit(asyncio.run(run(options)))


if __name__ == "__main__":
    main()
