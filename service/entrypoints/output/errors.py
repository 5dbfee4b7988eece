"""Errors: the text, every field at fault, and the way out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from service.entrypoints.output.text import print_json
from service.errors import CommandRejected, SignertError

if TYPE_CHECKING:
    from signing import SigningError

__all__ = ["error"]


def error(exc: SignertError | SigningError, *, as_json: bool) -> None:
    if as_json:
        body = exc.as_json() if isinstance(exc, SignertError) else {"code": exc.code, "message": exc.message}
        print_json({"error": body})
        return
    stderr = sys.stderr
    print(f"Error: {exc.message} [{exc.code}]", file=stderr)
    if isinstance(exc, CommandRejected):
        for fault in exc.errors:
            print(f"  {fault.path}: {fault.message} [{fault.code}]", file=stderr)
    if exc.remedy:
        print(f"What to do: {exc.remedy}", file=stderr)
