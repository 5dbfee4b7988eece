"""Whether a file is a scan that can be kept: a PDF, JPEG or PNG that is whole, readable and does nothing by itself.

A PDF is opened by `scan_probe.py` in a process of its own, with limits on time and memory: it comes from outside,
and a reader in this process could be made to work for hours. Images are not decoded; their parts are counted.
"""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from service.domain.paper import ScanFault
from service.errors import SignertError

__all__ = ["inspect"]

_PROBE: Final = Path(__file__).with_name("scan_probe.py")
_SECONDS: Final = 60.0
"""The probe ends itself after 20 s of computing; this is for a machine that gives it none."""
_PNG_HEAD: Final = 8
_JPEG_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers that have no length after them."""
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def inspect(body: bytes, media_type: str) -> ScanFault | None:
    """What is wrong with these bytes as a file of `media_type`; None when nothing is.

    Raises `SignertError` (retryable) when the PDF could not be looked at for lack of time or memory on this machine.
    """
    match media_type:
        case "image/png":
            return None if _is_png(body) else ScanFault.BROKEN
        case "image/jpeg":
            return None if _is_jpeg(body) else ScanFault.BROKEN
    return _probe(body)


def _probe(body: bytes) -> ScanFault | None:
    try:
        done = subprocess.run(  # noqa: S603 (our own interpreter and file)
            [sys.executable, "-I", str(_PROBE)],
            input=body,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        error = SignertError(
            f"the scan could not be looked at: {type(exc).__name__}",
            code="scan_probe",
            remedy="Try again when the machine has less to do.",
        )
        error.retryable = True
        raise error from exc
    told = done.stdout.decode(errors="replace").strip()
    if done.returncode == 0 and told == "sound":
        return None
    # Killed for its limits, or ended by an error of its own: the file made it so.
    return ScanFault(told) if done.returncode == 0 and told in list(ScanFault) else ScanFault.BROKEN


def _is_png(body: bytes) -> bool:
    """Chunks from IHDR to IEND, each with its checksum (ISO 15948 5.3)."""
    names = []
    try:
        for name, data in _png_chunks(body):
            if name == b"IHDR" and 0 in struct.unpack(">II", data[:8]):
                return False
            names.append(name)
    except (struct.error, ValueError):
        return False
    return names[:1] == [b"IHDR"] and b"IDAT" in names and names[-1] == b"IEND"


def _png_chunks(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    at, name = _PNG_HEAD, b""
    while name != b"IEND":
        length, name = struct.unpack(">I4s", body[at : at + 8])
        data = body[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack(">I", body[at + 8 + length : at + 12 + length])
        if zlib.crc32(name + data) != checksum:
            raise ValueError(name)
        yield name, data
        at += 12 + length


def _is_jpeg(body: bytes) -> bool:
    """Segments up to the first scan, a frame with a size among them, and an end of image (ITU-T T.81 B.1)."""
    at, sized = 2, False
    while at + 4 <= len(body) and body[at] == 0xFF:
        marker = body[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker in _JPEG_ALONE:
            at += 2
            continue
        (length,) = struct.unpack(">H", body[at + 2 : at + 4])
        if marker in _JPEG_FRAMES and at + 9 <= len(body):
            height, width = struct.unpack(">HH", body[at + 5 : at + 9])
            sized = width > 0  # a height of 0 is told later, by a DNL segment
            del height
        if marker == 0xDA:
            return sized and body.find(b"\xff\xd9", at + length) > 0
        at += 2 + length
    return False
