"""Importing this registers every sin."""
from . import (answers, declared, doors, floods,  # noqa: F401
               framing, late, resume, torture)
