"""`ObjectStore` in a directory: one file an object, created whole or not at all.

A body is written to a temporary file in the store, flushed to the disk, and then linked to its name: `link`
fails when the name is taken, so of any number of racing writers one wins, and no reader ever sees half an
object. The folder is flushed too, so the name survives a power cut.

A file system cannot lock: an object with `retain_until` only loses its write permission (mode 0400), which keeps
it from being changed by mistake and from nothing else. Use S3 with Object Lock where that matters.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path

from service.domain.object_keys import check_key
from service.domain.ports import Body
from service.errors import AlreadyExists, NotFound, StoreError

__all__ = ["DirectoryStore"]

_TEMPORARY = ".tmp"
_PIECE = 256 * 1024


class DirectoryStore:
    """Objects under `root`, which is made when it is missing (mode 0700)."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._temporary = self._root / _TEMPORARY
        try:
            self._temporary.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as exc:
            raise _unusable(exc, "make the store's folder") from exc

    def __repr__(self) -> str:
        return f"DirectoryStore({str(self._root)!r})"

    def create(self, key: str, body: Body, *, retain_until: datetime | None = None) -> None:
        path = self._path(key)
        with self._written(body, key, mode=0o400 if retain_until else 0o600) as temporary:
            try:
                self._place(temporary, path, os.link)
            except FileExistsError:
                raise AlreadyExists(f"{key} is already in the store") from None

    def put(self, key: str, body: Body) -> None:
        path = self._path(key)
        with self._written(body, key) as temporary:
            self._place(temporary, path, os.replace)

    def get(self, key: str) -> bytes:
        try:
            return self._path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            self._check_mounted()
            raise NotFound(f"{key} is not in the store") from None
        except OSError as exc:
            raise _unusable(exc, f"read {key}") from exc

    def stream(self, key: str, *, start: int = 0, length: int | None = None) -> Generator[bytes]:
        pieces = self._pieces(self._path(key), key, start, length)
        next(pieces)  # opens the file, so that a missing one is told now
        return pieces

    def _pieces(self, path: Path, key: str, start: int, length: int | None) -> Generator[bytes]:
        try:
            with path.open("rb") as file:
                yield b""
                file.seek(start)
                left = length
                while piece := file.read(_PIECE if left is None else min(left, _PIECE)):
                    yield piece
                    left = None if left is None else left - len(piece)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            self._check_mounted()
            raise NotFound(f"{key} is not in the store") from None
        except OSError as exc:
            raise _unusable(exc, f"read {key}") from exc

    def exists(self, key: str) -> bool:
        path = self._path(key)
        try:
            found = path.is_file()
        except OSError as exc:
            raise _unusable(exc, f"look for {key}") from exc
        if not found:
            self._check_mounted()
        return found

    def size(self, key: str) -> int:
        path = self._path(key)
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            found = None
        except OSError as exc:
            raise _unusable(exc, f"look for {key}") from exc
        if found is None or not stat.S_ISREG(found.st_mode):
            self._check_mounted()
            raise NotFound(f"{key} is not in the store")
        return found.st_size

    def retain(self, key: str, until: datetime) -> None:  # noqa: ARG002
        self.size(key)
        try:
            self._path(key).chmod(0o400)
        except OSError as exc:
            raise _unusable(exc, f"protect {key}") from exc

    def list(self, prefix: str = "", *, after: str | None = None, limit: int | None = None) -> Iterator[str]:
        if prefix:
            _check(prefix.rstrip("/"))
        base = prefix[: prefix.rfind("/") + 1]
        yield from islice(self._below(base, prefix, after or ""), limit)

    def folders(self, prefix: str) -> Iterator[str]:
        _check(prefix.rstrip("/"))
        yield from (name[:-1] for name in self._names(prefix) if name.endswith("/"))

    def _below(self, folder: str, prefix: str, after: str) -> Iterator[str]:
        """The keys in `folder` (it ends in `/`, or is the store's own), folder by folder, in byte order."""
        for name in self._names(folder):
            path = folder + name
            if not name.endswith("/"):
                if path.startswith(prefix) and path > after:
                    yield path
            elif (path.startswith(prefix) or prefix.startswith(path)) and (
                path > after or after.startswith(path)
            ):
                yield from self._below(path, prefix, after)

    def _names(self, folder: str) -> Sequence[str]:
        """What is in the folder, in the order of its keys; what is a folder itself ends in `/`."""
        try:
            with os.scandir(self._root / folder) as found:
                names = sorted(
                    f"{entry.name}/" if entry.is_dir() else entry.name
                    for entry in found
                    if not (entry.is_dir() and entry.is_symlink())
                )
        except (FileNotFoundError, NotADirectoryError):  # there is none, or it was deleted meanwhile
            names = []
        except OSError as exc:
            raise _unusable(exc, "list its keys") from exc
        if not folder:
            names = [name for name in names if name != f"{_TEMPORARY}/"]
        if not names:
            self._check_mounted()
        return names

    def link(self, key: str, *, seconds: int, filename: str) -> str | None:  # noqa: ARG002
        self._path(key)
        return None

    def delete(self, key: str) -> None:
        path = self._path(key)
        try:
            path.unlink(missing_ok=True)
        except NotADirectoryError:
            return
        except OSError as exc:
            raise _unusable(exc, f"delete {key}") from exc
        # Empty folders are not objects. Another writer may fill one just now: then it stays.
        with contextlib.suppress(OSError):
            for folder in path.relative_to(self._root).parents[:-1]:
                (self._root / folder).rmdir()

    def retained_until(self, key: str) -> datetime | None:
        self.size(key)
        return None

    def erase(self, key: str) -> None:
        self.delete(key)

    def _path(self, key: str) -> Path:
        _check(key)
        return self._root / key

    def _check_mounted(self) -> None:
        """A store whose folder is gone is not an empty one. Raises `StoreError`."""
        if not self._temporary.is_dir():
            raise StoreError("the store's folder is not there", remedy="Is its disk mounted?")

    @contextlib.contextmanager
    def _written(self, body: Body, key: str, *, mode: int = 0o600) -> Iterator[Path]:
        """A flushed temporary file with `body`; gone afterwards."""
        temporary = self._temporary / secrets.token_hex(16)
        try:
            with temporary.open("xb") as file:
                temporary.chmod(mode)
                if isinstance(body, bytes):
                    file.write(body)
                else:
                    body.seek(0)
                    shutil.copyfileobj(body, file, _PIECE)
                file.flush()
                os.fsync(file.fileno())
            yield temporary
        except FileExistsError:
            raise
        except OSError as exc:
            raise _unusable(exc, f"write {key}") from exc
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _place(self, temporary: Path, path: Path, place: Callable[..., None]) -> None:
        """Give a written file its name, durably; `place` is `os.link` (a new name) or `os.replace` (any).

        The folder is held open meanwhile: another may delete the object, and the folder that this empties, before
        its name is flushed, and then there is nothing left to keep.
        """
        while True:
            self._make_parent(path)
            try:
                with _opened_folder(path.parent) as folder:
                    place(temporary, path.name, dst_dir_fd=folder)
                    os.fsync(folder)
            except FileNotFoundError:
                temporary.stat()  # what was written is gone: no other try will do better
                continue  # `delete` of a neighbour took the emptied folder away between two calls
            break

    def _make_parent(self, path: Path) -> None:
        """Make the folders above `path`, each flushed into the one above it."""
        missing = [p for p in path.parents if p.is_relative_to(self._root) and not p.exists()]
        for folder in reversed(missing):
            try:
                folder.mkdir(mode=0o700, exist_ok=True)
                _flush_folder(folder.parent)
            except FileNotFoundError:
                pass  # a neighbour's `delete` took the folder above: `_place` tries again
            except FileExistsError:
                # `mkdir` found it, and it was gone when `mkdir` looked whether it is a folder: the same. But a link
                # to nowhere (a disk that is not mounted) stays, and is no object that exists.
                if folder.is_symlink():
                    raise StoreError(
                        "a folder of the store is a link to nowhere", remedy="Is its disk mounted?"
                    ) from None


def _check(key: str) -> None:
    check_key(key)
    if _TEMPORARY in key.split("/"):
        raise StoreError(f"'{_TEMPORARY}' is the store's own", remedy="Mend the key.")


@contextlib.contextmanager
def _opened_folder(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    with _opened_folder(folder) as descriptor:
        os.fsync(descriptor)


def _unusable(exc: OSError, doing: str) -> StoreError:
    return StoreError(
        f"the store could not {doing}: {exc.strerror or type(exc).__name__}",
        remedy="Check the store's folder: its disk space and who may write there.",
    )
