"""Which sins there are, who commits them, and what record each must give.

A sin is a path. Beside its handler stands `expect`, what the record of
`urlsum get --format jsonl --retry 0` must say of it: fields and their values,
where a value may be a function that looks at it, None means "absent", and
`body` is the content whose digest it must have.
"""
import collections

SINS = {}

# How often each path was asked for; and what else a handler counts.
COUNTS = collections.Counter()


class Sin:
    def __init__(self, path, handler, expect, args, options):
        self.path = path
        self.handler = handler
        self.expect = expect
        self.args = args
        self.options = options


def sin(path, args=(), options=(), **expect):
    """Makes a coroutine (connection, request, count, *args) the handler of
    /path; count is how often it was asked for before. options are those of the
    command, beside the usual ones."""
    def register(handler):
        assert path not in SINS, path
        SINS[path] = Sin(path, handler, expect, args, options)
        return handler
    return register


# Handlers of everything below a path: /name/rest. They have no record stated
# here; their tests know.
TREES = {}


def tree(name):
    """Makes a coroutine (connection, request, count, rest) the handler."""
    def register(handler):
        TREES[name] = handler
        return handler
    return register


# Sins that are committed before a request is read; each has a port.
DOORS = {}


class Door:
    def __init__(self, handler, scheme, kind, expect):
        self.handler = handler
        self.scheme = scheme
        self.kind = kind
        self.expect = expect


def door(name, scheme="https", kind="good", **expect):
    """Makes a function (socket) the handler of a port of its own. kind: of its
    certificate and TLS (doors.py has them), None: without; the handler gets the
    socket after the handshake."""
    def register(handler):
        assert name not in DOORS, name
        DOORS[name] = Door(handler, scheme, kind, expect)
        return handler
    return register
