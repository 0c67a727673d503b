"""A host that neither makes connections nor refuses them; one that takes
connections and then no more of TLS."""
import contextlib
import socket
import ssl
import threading
import time


@contextlib.contextmanager
def filled_queue(address, room=256):
    """Fills the queue of who listens there and takes nothing from it."""
    with contextlib.ExitStack() as stack:
        for _ in range(room):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(address)
        yield


@contextlib.contextmanager
def silent_socket(address="127.0.0.1", port=0):
    """A listening socket whose queue is full."""
    with socket.socket() as listener:
        listener.bind((address, port))
        listener.listen(0)
        with filled_queue(listener.getsockname(), 2):
            yield listener


@contextlib.contextmanager
def silent_port():
    """The port of one at 127.0.0.1."""
    with silent_socket() as listener:
        yield listener.getsockname()[1]


@contextlib.contextmanager
def silent_after_one(certificate, key):
    """A server at 127.0.0.1 that takes one connection under TLS, and three
    seconds for its answer. Further connections are made, and nothing comes of
    them. Yields its port, and an event: it was asked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    asked = threading.Event()

    def answer_one(listener):
        with context.wrap_socket(listener.accept()[0], server_side=True) as one:
            one.recv(65536)
            asked.set()
            one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n"
                        b"Connection: close\r\n\r\n")
            for _ in range(10):
                time.sleep(0.3)
                one.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        server = threading.Thread(target=answer_one, args=(listener,),
                                  daemon=True)
        server.start()
        yield listener.getsockname()[1], asked
        server.join(60)


@contextlib.contextmanager
def silent_under_tls(count):
    """Addresses at which connections are made, and nothing comes of them."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(
            socket.create_server((f"127.0.7.{n}", 0), backlog=64)).getsockname()
            for n in range(1, count + 1)]


@contextlib.contextmanager
def late_for_the_first(certificate, key, seconds):
    """A server at 127.0.0.1 that takes so long for the first handshake, and
    answers two connections. Yields its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def answer(listener):
        for pause_s in seconds, 0:
            sock = listener.accept()[0]
            time.sleep(pause_s)
            with context.wrap_socket(sock, server_side=True) as one:
                one.recv(65536)
                one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
                            b"Connection: close\r\n\r\nx")

    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        server = threading.Thread(target=answer, args=(listener,), daemon=True)
        server.start()
        yield listener.getsockname()[1]
        server.join(60)
