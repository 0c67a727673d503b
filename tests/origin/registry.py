"""Which sins there are, who commits them, and what record each must give.

A sin is a path. Beside its handler stands `expect`, what the record of
`urlsum get --format jsonl --retry 0` must say of it: fields and their values,
where a value may be a function that looks at it, None means "absent", and
`body` is the content whose digest it must have.
"""
SINS = {}


class Sin:
    def __init__(self, path, handler, expect, args):
        self.path = path
        self.handler = handler
        self.expect = expect
        self.args = args


def sin(path, args=(), **expect):
    """Makes a coroutine (connection, request, count, *args) the handler of
    /path; count is how often it was asked for before."""
    def register(handler):
        assert path not in SINS, path
        SINS[path] = Sin(path, handler, expect, args)
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
