"""Cables: TCP proxies between programs, which can be cut in many ways."""
import asyncio
import contextlib
import socket
import struct

READ_BYTES = 1 << 16
# The ways to cut one; each lasts for a while and heals.
WAYS = ("stall", "stall-up", "stall-down", "drop", "reset", "refuse", "delay")
DELAY_S = 0.05


class Cable:
    """One listening port, whose connections go on to a target.

    stall        nothing passes, later all of it does, late; -up: only what
                 comes from the side that connected; -down: only the other
    drop         what is sent vanishes; at the end the connections are reset
    reset        the connections are reset, new ones may come
    refuse       the same, and new ones are reset as long as it lasts
    delay        every piece takes DELAY_S
    """

    def __init__(self, name, address, target):
        self.name = name
        self.address = address
        self.target = target
        self.open = {"up": asyncio.Event(), "down": asyncio.Event()}
        self.drops = False
        self.refuses = False
        self.delay_s = 0
        self.writers = set()
        self.tasks = set()
        self.heal()

    async def start(self):
        self.server = await asyncio.start_server(self.serve, self.address, 0,
                                                 limit=READ_BYTES)
        self.port = self.server.sockets[0].getsockname()[1]
        self.endpoint = f"tcp://{self.address}:{self.port}"

    def heal(self):
        for gate in self.open.values():
            gate.set()
        self.drops = self.refuses = False
        self.delay_s = 0

    def reset(self):
        """Ends all connections by RST."""
        for writer in list(self.writers):
            self.abort(writer)

    @staticmethod
    def abort(writer):
        with contextlib.suppress(OSError):
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def cut(self, way, seconds):
        try:
            if way in ("reset", "refuse"):
                self.refuses = way == "refuse"
                self.reset()
            elif way == "drop":
                self.drops = True
            elif way == "delay":
                self.delay_s = DELAY_S
            else:
                for name, gate in self.open.items():
                    if way in ("stall", f"stall-{name}"):
                        gate.clear()
            if way != "reset":
                await asyncio.sleep(seconds)
        finally:
            if self.drops:
                self.reset()
            self.heal()

    async def serve(self, reader, writer):
        if self.refuses:
            self.abort(writer)
            return
        self.writers.add(writer)
        other = None
        is_closed = False
        try:
            back, other = await asyncio.open_connection(*self.target,
                                                        limit=READ_BYTES)
            self.writers.add(other)
            if self.refuses:
                raise ConnectionError
            pumps = [asyncio.ensure_future(self.pump("up", reader, other)),
                     asyncio.ensure_future(self.pump("down", back, writer))]
            self.tasks.update(pumps)
            try:
                # An end in one direction is one of both: ZeroMQ knows no half.
                done, _ = await asyncio.wait(
                    pumps, return_when=asyncio.FIRST_COMPLETED)
                is_closed = all(pump.result() for pump in done)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
                self.tasks.difference_update(pumps)
        except OSError:
            pass
        finally:
            for end in (writer, other):
                if end and is_closed:
                    end.close()  # what is under way arrives
                elif end:
                    self.abort(end)
                self.writers.discard(end)

    async def pump(self, way, reader, writer):
        """Returns whether the sender closed, as opposed to broke."""
        with contextlib.suppress(OSError):
            while True:
                data = await reader.read(READ_BYTES)
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                await self.open[way].wait()
                if not data:
                    return True
                if not self.drops:
                    writer.write(data)
                    await writer.drain()
        return False

    async def end(self):
        self.server.close()
        self.heal()
        self.reset()
        # What serves a connection ends with it; a moment is enough.
        for _ in range(100):
            if not self.writers:
                break
            await asyncio.sleep(0.02)
