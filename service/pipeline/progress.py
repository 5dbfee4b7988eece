"""How far a run has come: what the log has, and the entry on its way there while the next step is worked out.

The order of what is done stays: an entry's blobs, the entry, its events, and only then the entry after it. Who uses a
key, tells somebody or ends the run settles first. What was worked out for a state that did not come is thrown away.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from typing import Final

from service.domain.agreement import Agreement
from service.domain.folding import advance
from service.domain.log import Draft, Entry
from service.pipeline.ledger import Raced, Sent
from service.pipeline.services import Services
from service.pipeline.together import begun

__all__ = ["Observer", "Progress"]

Observer = Callable[[Entry], None]

_PUBLISH: Final = "publish"


class Progress:
    """Of one run, which is driven by one thread."""

    def __init__(self, services: Services, agreement: Agreement, told: int, observe: Observer) -> None:
        self._services, self._observe = services, observe
        self._under_way: _UnderWay | None = None
        self.agreement = self.expected = agreement
        """As the log has it, and as it will be with what is under way."""
        self.told = told
        """The first entry whose events may not be published."""
        self.doing = ""
        """What is done, or failed: a step, `publish`, `index`."""

    def tell(self, entries: Iterable[Entry]) -> None:
        """Publish the events of entries that the log has."""
        self.doing = _PUBLISH
        for entry in entries:
            _publish(self._services, entry)
            self.told = entry.seq + 1

    def begin(self, draft: Draft, sent: Sent) -> None:
        """Send an entry on its way behind its blobs. What was under way before has been settled."""
        assert self._under_way is None
        agreement = self.agreement
        entry = self._services.ledger.entry(
            agreement.id, agreement.head, draft, version=draft.version or agreement.current.number
        )
        self._under_way = _UnderWay(self._services, agreement, entry, sent, self.doing, self._observe)
        self.expected = advance(agreement, entry)

    def settle(self) -> bool:
        """Wait for what is under way; whether it came as `expected`.

        Where another was first, the log is read again. Raises what went wrong with it; `agreement` and `told` say how
        far it came.
        """
        done = self._under_way
        if done is None:
            return True
        wait([done.future])
        self._under_way = None
        try:
            done.future.result()
        except Raced:
            for entry in self._services.ledger.read_after(self.agreement.head):
                self.agreement = advance(self.agreement, entry)
                self._observe(entry)
                self.tell([entry])
            return False
        except BaseException:
            self.doing = done.doing
            raise
        finally:
            if done.is_written:
                self._services.ledger.note(done.entry)
                self.agreement = self.expected
            self.expected = self.agreement
        self.told = done.entry.seq + 1
        return True

    def close(self) -> None:
        """Leave nothing under way, whatever becomes of it: where a run ends that something else has ended."""
        doing = self.doing
        with contextlib.suppress(Exception):
            self.settle()
        self.doing = doing


class _UnderWay:
    """One entry, from its blobs to its events, by a thread of its own."""

    def __init__(
        self, services: Services, agreement: Agreement, entry: Entry, sent: Sent, step: str, observe: Observer
    ) -> None:
        self.entry, self.is_written = entry, False
        self._services, self._sent, self._step, self._observe = services, sent, step, observe
        self._until = agreement.kept_until
        self.future: Future[None] = begun(self._write)

    @property
    def doing(self) -> str:
        """The step whose entry is being written, then the publishing of its events."""
        return _PUBLISH if self.is_written else self._step

    def _write(self) -> None:
        self._sent.arrived()
        self._services.ledger.write(self.entry, until=self._until)
        self.is_written = True
        self._observe(self.entry)
        _publish(self._services, self.entry)


def _publish(services: Services, entry: Entry) -> None:
    for event in entry.cloud_events():
        services.publisher.publish(event)
