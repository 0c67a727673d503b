"""A DNS server that says what a test wants, and remembers what it was asked.

Names are given as {"name": [record, ...]}, a record being an IPv4 or IPv6
address or "cname other.name"; what is not given does not exist. How it answers
can be changed while it runs.
"""
import collections
import ipaddress
import socket
import struct
import threading
import time

A, NS, CNAME, SOA, AAAA = 1, 2, 5, 6, 28
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5


def encode(name):
    labels = [label for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label.encode("ascii")
                    for label in labels) + b"\0"


def decode(packet, at):
    labels = []
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode("ascii"))
        at += 1 + packet[at]
    return ".".join(labels).lower(), at + 1


def bind_both(address):
    """A port that is free for UDP and for TCP."""
    for _ in range(100):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind((address, 0))
        tcp = socket.socket()
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tcp.bind(udp.getsockname())
        except OSError: # somebody's connection has it
            udp.close()
            tcp.close()
            continue
        tcp.listen()
        return udp, tcp
    raise OSError("no port is free for both")


class DnsServer:
    def __init__(self, names=None, address="127.0.0.1"):
        self.names = dict(names or {})
        self.ttl = 300
        self.delay_s = 0    # before each answer
        self.silent = False # nothing is answered
        self.code = None    # everything is answered with this
        self.codes = {}     # or these names are
        self.is_truncated = False # answers by UDP are too long
        self.asked = collections.Counter() # (name, type)
        self.by_tcp = 0
        self.udp, self.tcp = bind_both(address)
        self.where = "%s:%d" % self.udp.getsockname()
        self.is_over = False
        self.threads = [threading.Thread(target=self.serve_udp),
                        threading.Thread(target=self.serve_tcp)]
        for thread in self.threads:
            thread.start()

    def count(self, name):
        """Questions for a name, of either family."""
        return self.asked[name, A] + self.asked[name, AAAA]

    def serve_udp(self):
        self.udp.settimeout(0.2)
        while not self.is_over:
            try:
                packet, peer = self.udp.recvfrom(4096)
            except TimeoutError:
                continue
            answer = self.answer(packet, True)
            if answer is None:
                continue
            if self.delay_s:
                threading.Timer(self.delay_s, self.send,
                                (answer, peer)).start()
            else:
                self.send(answer, peer)

    def send(self, answer, peer):
        try:
            self.udp.sendto(answer, peer)
        except OSError:
            pass # the test is over

    def serve_tcp(self):
        self.tcp.settimeout(0.2)
        while not self.is_over:
            try:
                peer, _ = self.tcp.accept()
            except TimeoutError:
                continue
            with peer:
                peer.settimeout(5)
                try:
                    length, = struct.unpack("!H", peer.recv(2))
                    answer = self.answer(peer.recv(length), False)
                    if answer:
                        self.by_tcp += 1
                        peer.sendall(struct.pack("!H", len(answer)) + answer)
                except (OSError, struct.error):
                    pass

    def records(self, name, kind):
        """[(name, type, data)], following CNAMEs, or None for no such name."""
        found = []
        for _ in range(20):
            given = self.names.get(name)
            if given is None:
                return found or None
            if callable(given):
                given = given()
            to = [one[6:] for one in given if one.startswith("cname ")]
            if not to:
                break
            found.append((name, CNAME, encode(to[0])))
            name = to[0]
        else:
            return found
        for one in given:
            address = ipaddress.ip_address(one)
            if kind == (A if address.version == 4 else AAAA):
                found.append((name, kind, address.packed))
        return found

    def answer(self, packet, by_udp):
        name, at = decode(packet, 12)
        kind, = struct.unpack_from("!H", packet, at)
        self.asked[name, kind] += 1
        if self.silent:
            return None
        code = self.codes.get(name, self.code)
        if code == "silent":
            return None
        records = []
        if code is None and kind == NS and not name:
            code, records = NOERROR, [("", NS, encode("a.root.test"))]
        elif code is None:
            records = self.records(name, kind)
            code = NXDOMAIN if records is None else NOERROR
        truncated = by_udp and self.is_truncated and records
        flags = 0x8180 | code | (0x200 if truncated else 0)
        records = [] if truncated else records or []
        answer = packet[:2] + struct.pack("!HHHHH", flags, 1, len(records),
                                          0, 0) + packet[12:at + 4]
        for owner, record_kind, data in records:
            answer += encode(owner) + struct.pack(
                "!HHIH", record_kind, 1, self.ttl, len(data)) + data
        return answer

    def outage(self, seconds, how="silent"):
        """From now on, for so long."""
        def begin(value):
            if how == "silent":
                self.silent = value
            else:
                self.code = how if value else None

        begin(True)
        timer = threading.Timer(seconds, begin, (False,))
        timer.start()
        return timer

    def end(self):
        self.is_over = True
        for thread in self.threads:
            thread.join()
        time.sleep(self.delay_s)
        self.udp.close()
        self.tcp.close()
