"""Opens the PDF on standard input with limits, and says in one word what it is: sound, broken, encrypted or active.

Run by `scans.py` as a process of its own; imports nothing of ours. Nothing in the PDF is run or shown.
"""

from __future__ import annotations

import io
import resource
import sys
from typing import Any

SECONDS, MEMORY = 20, 1024**3
MOST_PAGES = 200
RUNS = frozenset({"/JavaScript", "/Launch", "/ImportData", "/SubmitForm", "/GoToE", "/RichMediaExecute"})
"""Kinds of actions that a document may not start (ISO 32000-1 12.6.4)."""
CARRIES = ("/JavaScript", "/EmbeddedFiles")


def main() -> str:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    from pypdf import PdfReader  # with the limits set

    try:
        reader = PdfReader(io.BytesIO(sys.stdin.buffer.read()), strict=True)
        if reader.is_encrypted:
            return "encrypted"
        root = reader.root_object
        if not 0 < len(reader.pages) <= MOST_PAGES:
            return "broken"
        if is_active(root):
            return "active"
        for page in reader.pages:
            if 0 in (page.mediabox.width, page.mediabox.height) or page.get_contents() is None:
                return "broken"
            if "/AA" in page or any(starts(a) for a in on_page(page)):
                return "active"
    except Exception:  # noqa: BLE001 (files are hostile; whatever a reader makes of one, it is not readable)
        return "broken"
    return "sound"


def is_active(root: Any) -> bool:
    names = resolved(root.get("/Names")) or {}
    form = resolved(root.get("/AcroForm")) or {}
    opening = resolved(root.get("/OpenAction"))
    return (
        "/AA" in root
        or any(name in names for name in CARRIES)
        or "/XFA" in form
        or "/AF" in root
        or (isinstance(opening, dict) and runs(opening))
    )


def on_page(page: Any) -> list[Any]:
    return [resolved(each) for each in resolved(page.get("/Annots")) or ()]


def starts(annotation: Any) -> bool:
    action = resolved(annotation.get("/A"))
    return "/AA" in annotation or annotation.get("/Subtype") == "/FileAttachment" or runs(action or {})


def runs(action: Any, depth: int = 0) -> bool:
    """Whether the action, or one that follows it, does more than show another place."""
    if action.get("/S") in RUNS or depth > 10:
        return True
    after = resolved(action.get("/Next"))
    following = after if isinstance(after, list) else [after] if after else []
    return any(runs(resolved(each), depth + 1) for each in following)


def resolved(value: Any) -> Any:
    return value.get_object() if value is not None else None


if __name__ == "__main__":
    sys.stdout.write(main())
