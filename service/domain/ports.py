"""What the domain and the pipeline need from the world, as Protocols.

Contracts are in the docstrings; `tests/contract/` holds every implementation to them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from service.domain.signals import Metric


class Readable(Protocol):
    """A file that can be read again from its start, as of `io`."""

    def read(self, size: int = -1, /) -> bytes: ...

    def seek(self, offset: int, whence: int = 0, /) -> int: ...

    def tell(self) -> int: ...


Body = bytes | Readable
"""What is to be stored. Of a file it is all, from its start, wherever it is; it is left open.

It may be read several times; a large one is never held in memory as a whole.
"""


class ObjectStore(Protocol):
    """A flat store of immutable bytes by key: the only truth of the service.

    Keys are `/`-separated segments of `[A-Za-z0-9._-]`, at most 512 characters, never `.` or `..`.
    Every method raises `StoreError` when the store cannot be reached or answers with an error.
    """

    def create(self, key: str, body: Body, *, retain_until: datetime | None = None) -> None:
        """Store `body` under `key` only if nothing is there: of any number of racing calls, one wins.

        When it returns, the object survives a crash and every reader sees it whole.
        `retain_until` (aware) asks that nobody can remove these bytes before then. A store that can lock does
        so where its settings say so; one that cannot takes it for advice.
        Raises `AlreadyExists` when the key is taken; what is there is left as it was.
        """

    def put(self, key: str, body: Body) -> None:
        """Store `body` under `key`, replacing what is there. Readers see the old or the new, never a mix."""

    def get(self, key: str) -> bytes:
        """The object's bytes. Raises `NotFound`."""

    def stream(self, key: str, *, start: int = 0, length: int | None = None) -> Generator[bytes]:
        """The object's bytes from `start` on, at most `length` of them, in pieces of at most 1 MiB.

        Raises `NotFound` at once, and `StoreError` also from the generator, when the rest cannot be had. Nothing
        comes of a start behind the end. Close the generator to let go of what it holds open. Whether the bytes are
        what was written is for the caller to check.
        """

    def exists(self, key: str) -> bool:
        """Whether there is an object of that key."""

    def size(self, key: str) -> int:
        """The object's length in bytes, without reading it. Raises `NotFound`."""

    def retain(self, key: str, until: datetime) -> None:
        """Ask, of an object that is there, what `create` asks with `retain_until`. Raises `NotFound`."""

    def retained_until(self, key: str) -> datetime | None:
        """Until when nobody can remove the object; None where nothing keeps one from it. Raises `NotFound`."""

    def erase(self, key: str) -> None:
        """Remove the object for good, with whatever older bytes the store has kept under that key.

        Nothing happens when there is none. Raises `Retained` for what is under a lock.
        """

    def list(self, prefix: str = "", *, after: str | None = None, limit: int | None = None) -> Iterator[str]:
        """Keys that start with `prefix`, in ascending byte order. A prefix may end inside a segment.

        With `after`, those that come after it in that order: any text, which need be no key. With `limit`, so many
        at most; a store then reads no more than it must. Keys are read as they are asked for: what is created or
        deleted meanwhile may be among them or not.
        """

    def folders(self, prefix: str) -> Iterator[str]:
        """The segments that stand right after `prefix` (it ends in `/`) in keys that go on after them.

        Each once, in no order.
        """

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens when there is none."""

    def link(self, key: str, *, seconds: int, filename: str) -> str | None:
        """An address at which anybody who has it can read the object for so long, as a file of that name.

        None where the store has no such thing. Whether the object is there is not asked.
        """


class Clock(Protocol):
    def now(self) -> datetime:
        """The time, aware, in UTC."""


class Publisher(Protocol):
    """Where events go."""

    def publish(self, event: Mapping[str, object]) -> None:
        """Hand over one CloudEvents 1.0 event; returns when the broker has taken it.

        The same event may be published more than once; its `id` does not change.
        Raises `SignertError` (retryable) when the broker cannot take it.
        """


class Signals(Protocol):
    """Who is told how the work goes: measures and traces. Never raises, and costs next to nothing.

    Labels and attributes have no personal data. Metrics are those of `service.domain.signals`.
    """

    def count(self, metric: Metric, *labels: str, amount: float = 1) -> None:
        """Add to a counter."""

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """One value of a histogram."""

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        """This process's value of a gauge; the largest of the living processes is shown."""

    def replace(self, figures: Mapping[Metric, Mapping[tuple[str, ...], float]]) -> None:
        """All values of these gauges, by their labels, for all processes: whoever told them last is right."""

    def span(self, name: str, **attributes: str | int) -> AbstractContextManager[None]:
        """A part of the present trace, as long as the context."""

    def trace_headers(self) -> dict[str, str]:
        """What a message takes along so that its receiver goes on with the present trace; `{}` where there is none."""


@dataclass(frozen=True)
class FinishedPdf:
    """A PDF ready to be signed, and its real text in logical order."""

    pdf: bytes
    text: str


@dataclass(frozen=True)
class Attachment:
    """A file carried inside a PDF (ISO 32000-1 7.11.4; associated file of PDF/A-3)."""

    name: str
    media_type: str
    description: str
    body: bytes


@dataclass(frozen=True)
class SignaturePlace:
    """One party's place for a signature, as the template's manifest says.

    `link` is the address of the hyperlink that marks the place in the Word file; width and height in points.
    """

    role: str
    link: str
    tooltip: str
    width: float
    height: float


class OfficeConverter(Protocol):
    """Word to PDF."""

    def start(self) -> str:
        """Start the converter now, so that the first document need not wait; returns its version."""

    def to_pdf(self, docx: bytes, *, part: Literal[2, 3] = 2) -> bytes:
        """A tagged PDF/A-`part`b + PDF/UA-1 of the document. Raises `RenderFailed`."""

    def rest(self) -> None:
        """Nobody waits for a document just now. Returns at once."""
