"""Writing a package: an E-ARK SIP of one agreement, in a folder or a tar file, with a list of checksums beside it.

    {id}/METS.xml, metadata/…, representations/archive/…, schemas/…, documentation/…
    {id}.sha256    what `sha256sum -c` reads; it is written last and covers METS.xml too

The same agreement gives the same bytes: times are those of the log, ids are derived, and names in a tar file sorted.
A package gets its name when it is whole; until then it is `.{id}.part`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from importlib import metadata, resources
from pathlib import Path
from typing import Final

from service.adapters.archive.arkivmelding import arkivmelding
from service.adapters.archive.arkivstruktur import arkivstruktur
from service.adapters.archive.formats import by_suffix, claimed_pdf_a, format_of
from service.adapters.archive.mets import Described, Group, package_mets, representation_mets
from service.adapters.archive.noark import Creator, Disposal, case_of
from service.adapters.archive.premis import premis
from service.adapters.archive.reading import open_package
from service.domain.archive import Content, Dossier, Holding
from service.errors import PackageRefused, SignertError

__all__ = ["REPRESENTATION", "SipWriter"]

REPRESENTATION: Final = "archive"
_INSIDE: Final = f"representations/{REPRESENTATION}/"
_DATA: Final = f"{_INSIDE}data/"
_SCHEMAS: Final = ("DILCISExtensionMETS.xsd", "DILCISExtensionSIPMETS.xsd", "mets.xsd", "xlink.xsd")


class SipWriter:
    """Packages in `folder`, which is made when it is missing (mode 0700: they hold personal data).

    A context: while it is open, nobody else writes there. Raises `SignertError` (`export_in_use`, `output`).
    """

    def __init__(
        self,
        folder: Path,
        *,
        tar: bool = False,
        creator: Creator | None = None,
        disposal: Disposal | None = None,
    ) -> None:
        self._folder, self._tar = folder, tar
        self._creator, self._disposal = creator or Creator(), disposal or Disposal()
        self._lock: int | None = None

    def __enter__(self) -> SipWriter:
        with _told(self._folder):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self._lock)
                raise SignertError(
                    f"another export writes to {self._folder}",
                    code="export_in_use",
                    remedy="Wait for it, or name another folder.",
                ) from None
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            os.close(self._lock)

    def head_of(self, agreement_id: str) -> str | None:
        """The newest log entry's SHA-256 of the package that is there and whole; None when there is none such.

        Every file is read and compared with its checksum.
        """
        path, sums = self._path(agreement_id), self._sums(agreement_id)
        if not path.exists() or not sums.exists():
            return None
        try:
            return open_package(path).head
        except PackageRefused:
            return None

    def write(self, dossier: Dossier, read: Callable[[str], bytes]) -> tuple[int, int]:
        """Write the package, in place of an older one; how many files and bytes it has. `read` gives an object."""
        part = self._folder / f".{dossier.id}.part"
        with _told(part):
            self._clear(part)
            writing = _Writing(part / dossier.id, dossier, read, self._creator, self._disposal)
            writing.write()
            path, sums = self._path(dossier.id), self._sums(dossier.id)
            if self._tar:
                made = part / path.name
                _pack(part / dossier.id, made, dossier.head.at)
                lines = [f"{_sha256(made)}  {path.name}"]
            else:
                made = part / dossier.id
                lines = [
                    f"{sha256}  {dossier.id}/{name}" for name, (sha256, _) in sorted(writing.files.items())
                ]
            sums.unlink(missing_ok=True)
            self._clear(path)
            made.rename(path)
            temporary = part / sums.name
            _write(temporary, "".join(f"{line}\n" for line in lines).encode())
            temporary.rename(sums)
            self._clear(part)
        return len(writing.files), sum(size for _, size in writing.files.values())

    def _path(self, agreement_id: str) -> Path:
        return self._folder / (f"{agreement_id}.tar" if self._tar else agreement_id)

    def _sums(self, agreement_id: str) -> Path:
        return self._folder / f"{self._path(agreement_id).name}.sha256"

    def _clear(self, path: Path) -> None:
        """Take away what an earlier export left. Raises `SignertError` for a link, which no export makes."""
        if path.is_symlink():
            raise SignertError(
                f"{path} is a symbolic link", code="output", remedy="Take it away, or name another folder."
            )
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


class _Writing:
    """One package on its way: first the agreement's objects, then what is told of them."""

    def __init__(
        self,
        root: Path,
        dossier: Dossier,
        read: Callable[[str], bytes],
        creator: Creator,
        disposal: Disposal,
    ) -> None:
        self._root, self._dossier, self._read = root, dossier, read
        self._creator, self._disposal = creator, disposal
        self.files: dict[str, tuple[str, int]] = {}
        """Path in the package to SHA-256 and length."""

    @cached_property
    def _software(self) -> str:
        return metadata.version("signert")

    @property
    def _organisation(self) -> tuple[str, str] | None:
        return None if self._creator == Creator() else (self._creator.id, self._creator.name)

    @property
    def _reference(self) -> str:
        agreement = self._dossier.agreement
        return f"{agreement.case_system}/{agreement.case_reference}"

    def write(self) -> None:
        dossier = self._dossier
        holdings = [self._hold(content) for content in dossier.contents]
        sums = "".join(f"{h.sha256}  {h.content.path}\n" for h in holdings).encode()
        other = self._put(f"{_INSIDE}metadata/other/sha256sums.txt", sums)
        inner = representation_mets(
            dossier.id, REPRESENTATION, at=dossier.head.at, software=self._software, head=dossier.head.sha256,
            reference=self._reference, other=[(_within(other), "sha256sum")],
            files=[_within(self._described(h)) for h in holdings],
        )  # fmt: skip
        case = case_of(dossier, holdings, data_path=_DATA, disposal=self._disposal)
        descriptive = [
            (self._put("metadata/descriptive/arkivmelding.xml", arkivmelding(case)), "Noark 5 arkivmelding"),
            (
                self._put("metadata/descriptive/arkivstruktur.xml", arkivstruktur(case, self._creator)),
                "Noark 5 arkivstruktur",
            ),
        ]
        events = premis(dossier, holdings, software=self._software, representation=REPRESENTATION)
        preservation = [self._put("metadata/preservation/premis.xml", events)]
        here = resources.files(__package__)
        groups = [
            Group(
                "Documentation", [self._put("documentation/les-meg.txt", (here / "les-meg.txt").read_bytes())]
            ),
            Group(
                "Schemas",
                [self._put(f"schemas/{n}", (here / "schemas" / n).read_bytes()) for n in _SCHEMAS],
            ),
            Group(f"Representations/{REPRESENTATION}", [self._put(f"{_INSIDE}METS.xml", inner)]),
        ]
        body = package_mets(
            dossier.id, at=dossier.head.at, software=self._software, head=dossier.head.sha256,
            reference=self._reference, creator=self._organisation, descriptive=descriptive,
            preservation=preservation, groups=groups,
        )  # fmt: skip
        self._put("METS.xml", body)

    def _hold(self, content: Content) -> Holding:
        body = self._read(content.key)
        file = self._put(_DATA + content.path, body)
        return Holding(content, file.sha256, file.size, claimed_pdf_a(body))

    def _put(self, path: str, body: bytes) -> Described:
        place = self._root / path
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(place, body)
        sha256 = hashlib.sha256(body).hexdigest()
        self.files[path] = (sha256, len(body))
        known = by_suffix(path.rpartition(".")[2])
        return Described(path, sha256, len(body), self._dossier.head.at, known.media_type)

    def _described(self, holding: Holding) -> Described:
        known = format_of(holding)
        return Described(
            _DATA + holding.content.path, holding.sha256, holding.size, holding.content.at, known.media_type,
            holding.content.key, known.name, known.version, known.puid,
        )  # fmt: skip


def _within(file: Described) -> Described:
    """As the representation's own METS sees it."""
    return Described(**{**vars(file), "path": file.path.removeprefix(_INSIDE)})


def _write(path: Path, body: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(body)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pack(folder: Path, path: Path, at: str) -> None:
    """A tar file (POSIX ustar) that is the same for the same files."""
    moment = int(datetime.fromisoformat(at).timestamp())
    with tarfile.open(path, "x", format=tarfile.USTAR_FORMAT) as tar:
        for each in _sorted(folder):
            entry = tarfile.TarInfo(f"{folder.name}/{each.relative_to(folder).as_posix()}")
            entry.size, entry.mtime, entry.mode = each.stat().st_size, moment, 0o600
            with each.open("rb") as file:
                tar.addfile(entry, file)
    path.chmod(0o600)


def _sorted(folder: Path) -> Sequence[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file())


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise SignertError(
            f"{path} cannot be written: {exc.strerror or type(exc).__name__}",
            code="output",
            remedy="Check the disk's space and who may write there.",
        ) from exc
