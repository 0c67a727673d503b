"""How the tests' servers begin and end: they tell their port, and go with their
stdin, and so with whoever started them, whatever becomes of that."""
import asyncio
import os
import sys
import threading


def watch_stdin():
    """Ends the process when its stdin ends."""
    def watch():
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def serve(handler, addresses=("127.0.0.1",), backlog=1024, context=None):
    """Serves at one free port of the addresses, which is printed; handler is a
    coroutine (reader, writer); context: TLS's."""
    async def main():
        port = 0
        for address in addresses:
            server = await asyncio.start_server(handler, address, port,
                                                backlog=backlog, ssl=context)
            port = server.sockets[0].getsockname()[1]
        print(f"port={port}", flush=True)
        await server.serve_forever()

    watch_stdin()
    asyncio.run(main())
