"""Reading a package: every file is held against its checksum, and nothing outside the package is ever touched.

`open_package` refuses what is not whole, was altered, or would lead elsewhere: links, paths with `..`, document types.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Protocol

from lxml import etree

from service.adapters.archive.mets import METS, XLINK
from service.adapters.archive.xml import MOST, parse
from service.errors import PackageRefused

__all__ = ["Package", "find_packages", "open_package"]

_PATH: Final = re.compile(r"(?!\.{1,2}(?:/|$))[A-Za-z0-9._-]+(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._-]+)*")
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_SUM: Final = re.compile(r"([0-9a-f]{64})  (\S+)")
_METS: Final = "METS.xml"
_MOST_FILES: Final = 200_000
_MOST_BYTES: Final = 1 << 30
"""Of one file; what Signert writes is far smaller."""


class _Source(Protocol):
    """Files by their paths in the package."""

    @property
    def sizes(self) -> Mapping[str, int]: ...

    def open(self, path: str) -> IO[bytes]: ...


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root
        self.sizes = dict(self._walk(root))

    def _walk(self, folder: Path) -> Iterator[tuple[str, int]]:
        """Regular files only, found without following anything."""
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                path = Path(entry.path).relative_to(self._root).as_posix()
                _check_path(path)
                if entry.is_symlink():
                    raise _unsafe(path, "is a symbolic link")
                if entry.is_dir(follow_symlinks=False):
                    yield from self._walk(Path(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    yield path, entry.stat(follow_symlinks=False).st_size
                else:
                    raise _unsafe(path, "is neither a file nor a folder")

    def open(self, path: str) -> IO[bytes]:
        descriptor = os.open(self._root / path, os.O_RDONLY | os.O_NOFOLLOW)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise _unsafe(path, "is no file any more")
        return os.fdopen(descriptor, "rb")


class _Tar:
    def __init__(self, path: Path, package_id: str) -> None:
        self._path = path
        try:
            with tarfile.open(path, "r:") as tar:
                self._members = dict(self._list(tar, package_id))
        except (tarfile.TarError, EOFError, ValueError) as exc:
            raise PackageRefused(
                f"{path.name} is no tar file that can be read ({type(exc).__name__})", code="package_altered"
            ) from exc
        self.sizes = {path: size for path, (_, size) in self._members.items()}

    def _list(self, tar: tarfile.TarFile, package_id: str) -> Iterator[tuple[str, tuple[int, int]]]:
        """Paths, and where in the tar file their bytes begin and how many they are."""
        seen: set[str] = set()
        for member in tar:
            _check_path(member.name)
            if not member.isreg() or member.issparse():
                raise _unsafe(member.name, "is no plain file")
            root, _, path = member.name.partition("/")
            if root != package_id or not path or path in seen:
                raise _unsafe(member.name, "is twice in the tar file, or outside the package's folder")
            seen.add(path)
            yield path, (member.offset_data, member.size)

    def open(self, path: str) -> IO[bytes]:
        start, size = self._members[path]
        with self._path.open("rb") as file:
            file.seek(start)
            return io.BytesIO(file.read(size))


@dataclass(frozen=True)
class _Listed:
    """A file as a METS lists it: path in the package."""

    path: str
    sha256: str
    size: int
    key: str | None


class Package:
    """A whole package whose files all have the checksums that are listed.

    `head` is the SHA-256 of the newest log entry, as METS says; `keys` are the store's keys of what it holds.
    `sealed` tells whether a list of checksums beside it vouched for METS.xml too.
    """

    def __init__(
        self, agreement_id: str, head: str, source: _Source, objects: Mapping[str, _Listed], *, sealed: bool
    ) -> None:
        self.agreement_id, self.head, self.sealed = agreement_id, head, sealed
        self._source, self._objects = source, objects

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(self._objects)

    def path_of(self, key: str) -> str:
        """Where in the package the object is."""
        return self._objects[key].path

    def sha256_of(self, key: str) -> str:
        return self._objects[key].sha256

    def read(self, key: str) -> bytes:
        """The object's bytes, held against its checksum once more. Raises `PackageRefused`."""
        listed = self._objects[key]
        with self._source.open(listed.path) as file:
            body = file.read()
        if hashlib.sha256(body).hexdigest() != listed.sha256:
            raise _altered(listed.path, "has not the checksum that is listed")
        return body


def find_packages(path: Path) -> list[Path]:
    """The packages at `path`: itself, or those in a folder of packages. Raises `PackageRefused` when there is none."""
    if path.suffix == ".tar" or (path / _METS).exists():
        return [path]
    if path.is_dir():
        found = sorted(
            p
            for p in path.iterdir()
            if _UUID.fullmatch(p.name.removesuffix(".tar")) and (p.is_dir() or p.suffix == ".tar")
        )
        if found:
            return found
    raise PackageRefused(
        f"{path} is no archive package, and no folder of packages",
        code="package_unknown",
        remedy="Name the folder of a package (METS.xml is in it), or the one that `signert export` wrote to.",
    )


def open_package(path: Path) -> Package:
    """The package in this folder or tar file, once every file in it is read and compared.

    Raises `PackageRefused`: `package_altered`, `package_incomplete`, `package_unsafe`, `package_unknown`.
    """
    try:
        return _open(path)
    except OSError as exc:
        raise PackageRefused(
            f"{path} cannot be read: {exc.strerror or type(exc).__name__}", code="package_unknown"
        ) from exc


def _open(path: Path) -> Package:
    if path.is_symlink():
        raise _unsafe(path.name, "is a symbolic link")
    path = path.absolute()
    package_id = path.name.removesuffix(".tar")
    if not _UUID.fullmatch(package_id):
        raise PackageRefused(
            f"{path.name} is not named as a package: by the agreement's id",
            code="package_unknown",
            remedy="Give the folder its name back; METS.xml has it as OBJID.",
        )
    sums = _read_sums(path)
    if path.is_dir():
        source: _Source = _Folder(path)
        if sums is not None:
            _check_sums(sums, package_id, source)
    else:
        if sums is not None:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if sums != {path.name: found}:
                raise _altered(path.name, "has not the checksum that stands beside it")
        source = _Tar(path, package_id)
    if len(source.sizes) > _MOST_FILES:
        raise _unsafe(path.name, f"has more than {_MOST_FILES} files")
    root = _mets(source, _METS)
    if root.get("OBJID") != package_id:
        raise _altered(_METS, "is of another package than the folder is named for")
    listed = list(_listed(root, ""))
    for inner in [f.path for f in listed if f.path.endswith(f"/{_METS}")]:
        _check_files(source, [f for f in listed if f.path == inner])
        listed += _listed(_mets(source, inner), inner.removesuffix(_METS))
    _check_files(source, listed)
    unlisted = source.sizes.keys() - {f.path for f in listed} - {_METS}
    if unlisted:
        raise _altered(min(unlisted), "is not listed in METS")
    objects = {f.key: f for f in listed if f.key}
    if len(objects) != sum(f.key is not None for f in listed):
        raise _altered(_METS, "has the same object twice")
    head = root.findtext(f"{{{METS}}}metsHdr/{{{METS}}}metsDocumentID") or ""
    return Package(package_id, head, source, objects, sealed=sums is not None)


def _mets(source: _Source, path: str) -> etree._Element:
    if path not in source.sizes:
        raise PackageRefused(f"{path} is missing in the package", code="package_incomplete")
    if source.sizes[path] > MOST:
        raise _unsafe(path, f"has more than {MOST} bytes")
    with source.open(path) as file:
        root = parse(file.read(), path)
    if root.tag != f"{{{METS}}}mets":
        raise _altered(path, "is no METS")
    return root


def _listed(root: etree._Element, base: str) -> Iterator[_Listed]:
    """The files of a METS, whose own folder is `base`."""
    for element in root.iter(f"{{{METS}}}file", f"{{{METS}}}mdRef"):
        location = element.find(f"{{{METS}}}FLocat") if element.tag == f"{{{METS}}}file" else element
        href = location.get(f"{{{XLINK}}}href") if location is not None else None
        if href is None:
            raise _altered(f"{base}{_METS}", f"lists a file without an address (line {element.sourceline})")
        if not _PATH.fullmatch(href):
            raise _unsafe(f"{base}{_METS}", f"leads out of the package (line {element.sourceline})")
        sha256, size = element.get("CHECKSUM") or "", element.get("SIZE") or ""
        if element.get("CHECKSUMTYPE") != "SHA-256" or not _SHA256.fullmatch(sha256) or not size.isdecimal():
            raise _altered(
                f"{base}{_METS}", f"lists a file without SHA-256 or size (line {element.sourceline})"
            )
        yield _Listed(base + href, sha256, int(size), element.get("OWNERID"))


def _check_files(source: _Source, listed: list[_Listed]) -> None:
    seen: set[str] = set()
    for file in listed:
        if file.path in seen:
            raise _altered(file.path, "is listed twice")
        seen.add(file.path)
        if file.path not in source.sizes:
            raise PackageRefused(
                f"{file.path} is missing in the package",
                code="package_incomplete",
                remedy="Copy the package anew, or export it again.",
            )
        if file.size > _MOST_BYTES:
            raise _unsafe(file.path, f"has more than {_MOST_BYTES} bytes")
        if source.sizes[file.path] != file.size:
            raise _altered(file.path, "has not the length that is listed")
        with source.open(file.path) as opened:
            if _digest(opened) != file.sha256:
                raise _altered(file.path, "has not the checksum that is listed")


def _digest(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def _read_sums(path: Path) -> dict[str, str] | None:
    """What stands beside the package, file by checksum; None when nothing does."""
    beside = path.parent / f"{path.name}.sha256"
    try:
        text = beside.read_text("ascii")
    except FileNotFoundError:
        return None
    except ValueError:
        raise _altered(beside.name, "is no list of checksums") from None
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = _SUM.fullmatch(line)
        if match is None or match[2] in found:
            raise _altered(beside.name, "is no list of checksums")
        found[match[2]] = match[1]
    return found


def _check_sums(sums: Mapping[str, str], package_id: str, source: _Source) -> None:
    wanted = {name.removeprefix(f"{package_id}/"): sha256 for name, sha256 in sums.items()}
    for path in sorted(wanted.keys() | source.sizes.keys()):
        if path not in source.sizes:
            raise PackageRefused(f"{path} is missing in the package", code="package_incomplete")
        if path not in wanted:
            raise _altered(path, "is not in the list of checksums beside the package")
        with source.open(path) as file:
            if _digest(file) != wanted[path]:
                raise _altered(path, "has not the checksum that stands beside the package")


def _check_path(path: str) -> None:
    if len(path) > 512 or not _PATH.fullmatch(path):
        # The name itself may be anything: it is told only as far as it is harmless.
        raise PackageRefused(
            "a file's name in the package is none that Signert writes",
            code="package_unsafe",
            detail={"folder": "/".join(p for p in path.split("/")[:-1] if _PATH.fullmatch(p))},
        )


def _altered(path: str, said: str) -> PackageRefused:
    return PackageRefused(
        f"{path} {said}",
        code="package_altered",
        remedy="Copy the package anew from where it was written, or export it again.",
        detail={"file": path},
    )


def _unsafe(path: str, said: str) -> PackageRefused:
    return PackageRefused(
        f"{path} {said}",
        code="package_unsafe",
        remedy="Signert writes no such thing: find out who has altered the package.",
        detail={"file": path},
    )
