"""Importing this registers every sin."""
from . import answers, declared, floods, framing, resume, torture  # noqa: F401
