#!/usr/bin/python3
"""Hosts that want to be treated politely, and remember how they were.

As a program: listens on the addresses given (127.0.0.1 unless any is), all on
one free port, prints `port=N` and serves until its stdin ends.

    /ok[/EXTRA]              200
    /wait/MS[/EXTRA]         200 after MS
    /busy/NAME/N/CODE/VALUE[/EXTRA]
                             CODE to the first N requests of NAME, with
                             Retry-After: VALUE (nothing: without), then 200.
                             VALUE may be date1, date2 or date3, a colon and
                             a number: so many seconds ahead as IMF-fixdate,
                             rfc850-date or asctime-date, on a clock that is
                             hours off. It may be percent-encoded
    /to/PORT/PATH            redirects to that port of the same address
    /log                     JSON: [[seconds, address, path, status], ...]
"""
import asyncio
import collections
import json
import pathlib
import sys
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "origin"))
import until_stdin_ends  # noqa: E402

# How wrong the clock of our Date headers is.
SKEW_S = -5 * 3600
FORMS = {"date1": "%a, %d %b %Y %H:%M:%S GMT",
         "date2": "%A, %d-%b-%y %H:%M:%S GMT",
         "date3": "%a %b %e %H:%M:%S %Y"}


def retry_after(value):
    what, colon, seconds = value.partition(":")
    if not colon or what not in FORMS:
        return value
    return time.strftime(FORMS[what], time.gmtime(
        int(time.time()) + SKEW_S + int(seconds)))


class Origin:
    def __init__(self):
        self.log = []
        self.asked = collections.Counter()

    async def serve(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                address = writer.get_extra_info("sockname")[0]
                path = head.split(b" ", 2)[1].decode("ascii")
                began = time.monotonic()
                status, headers, content = await self.answer(address, path)
                if path != "/log":
                    self.log.append([began, address, path, status])
                date = time.strftime(FORMS["date1"],
                                     time.gmtime(int(time.time()) + SKEW_S))
                lines = [f"HTTP/1.1 {status} X", f"Date: {date}", *headers,
                         f"Content-Length: {len(content)}", "", ""]
                writer.write("\r\n".join(lines).encode("latin-1") + content)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def answer(self, address, path):
        what, *args = path.lstrip("/").split("/")
        if what == "log":
            return 200, [], json.dumps(self.log).encode("ascii")
        if what == "wait":
            await asyncio.sleep(int(args[0]) / 1000)
        if what == "to":
            rest = "/".join(args[1:])
            return 302, [f"Location: http://{address}:{args[0]}/{rest}"], b""
        if what == "busy":
            name, times, code, value = args[:4]
            self.asked[name] += 1
            if self.asked[name] <= int(times):
                value = retry_after(urllib.parse.unquote(value, "latin-1"))
                headers = [f"Retry-After: {value}"] if value else []
                return int(code), headers, b"not now"
        return 200, [], path.encode("ascii")


if __name__ == "__main__":
    until_stdin_ends.serve(Origin().serve, sys.argv[1:] or ["127.0.0.1"])
