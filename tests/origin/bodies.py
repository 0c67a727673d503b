"""Contents that are known by name: slices of one random block."""
import functools
import random

BLOCK = random.Random(20261124).randbytes(4 << 20)


def content(size, at=0):
    """size bytes; another `at` (below 1 MiB) is another content."""
    return BLOCK[at:at + size]


@functools.lru_cache(maxsize=64)
def version(name, size):
    """A content by the name of its version, "a" or "b" ..."""
    return content(size, 7 + 1013 * (ord(name) - ord("a")))
