"""Making pages into pictures to compare, one at a time, by poppler's `pdftoppm` held to limits."""

from __future__ import annotations

import contextlib
import resource
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from typing import IO, Final

from service.errors import RenderFailed

__all__ = ["can_rasterize", "rasterize"]

_SECONDS: Final = 300
_MEMORY: Final = 1 << 30
_PIXELS: Final = 64_000_000  # of a page
_PROGRAM: Final = "pdftoppm"


def can_rasterize() -> bool:
    """Whether the program is there."""
    return shutil.which(_PROGRAM) is not None


def rasterize(pdf: bytes, dots_per_inch: int, *, seconds: int = _SECONDS) -> Iterator[tuple[int, int, bytes]]:
    """Each page's width and height in pixels and a byte of grey for each pixel, by rows from the top.

    The media box whole, annotations drawn, layers as the document's default has them. One page is in memory at a
    time. Raises `RenderFailed` for a file that cannot be drawn, or not in `seconds` and a gigabyte.
    """
    with tempfile.NamedTemporaryFile(prefix="signert-pages-", suffix=".pdf") as file:
        file.write(pdf)
        file.flush()
        command = [_PROGRAM, "-gray", "-r", str(dots_per_inch), file.name]
        with subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(process.pid, resource.RLIMIT_AS, (_MEMORY, _MEMORY))
            timer = threading.Timer(seconds, process.kill)
            timer.daemon = True
            timer.start()
            try:
                assert process.stdout is not None
                yield from _pictures(process.stdout)
                if process.wait() != 0:
                    raise RenderFailed("pdftoppm cannot draw the PDF's pages")
            finally:
                timer.cancel()
                process.kill()


def _pictures(stream: IO[bytes]) -> Iterator[tuple[int, int, bytes]]:
    """Pictures in PGM, one behind the other: `P5`, width and height, 255, and the bytes."""
    while True:
        kind = stream.readline(16)
        if not kind:
            return
        sizes, depth = stream.readline(64).split(), stream.readline(16)
        if kind != b"P5\n" or len(sizes) != 2 or depth != b"255\n":
            raise RenderFailed("pdftoppm gives something else than pictures")
        width, height = (int(item) for item in sizes)
        if width * height > _PIXELS:
            raise RenderFailed("a page of the PDF is too large to be drawn")
        grey = stream.read(width * height)
        if len(grey) != width * height:
            raise RenderFailed("pdftoppm ended in the middle of a page")
        yield width, height, grey
