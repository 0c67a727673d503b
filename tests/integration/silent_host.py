"""A host that neither makes connections nor refuses them."""
import contextlib
import socket


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
