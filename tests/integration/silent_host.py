"""A host that neither makes connections nor refuses them."""
import contextlib
import socket


@contextlib.contextmanager
def silent_port():
    """A port of 127.0.0.1 whose queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        with filled_queue(port, 2):
            yield port


@contextlib.contextmanager
def filled_queue(port, room=256):
    """Fills the queue of who listens there and takes nothing from it."""
    with contextlib.ExitStack() as stack:
        for _ in range(room):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
        yield
