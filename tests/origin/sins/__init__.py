"""Importing this registers every sin."""
from . import declared, framing, resume, torture  # noqa: F401
