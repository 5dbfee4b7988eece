"""One agreement taken apart: seconds by step and by what is done in it, requests, conversions, parsings, calls.

    make bench PART=breakdown        (or PART=profile; BENCH_AGREEMENTS=10 to take the mean of so many)

Three parties, B-LTA, verified, in this process on a directory store and the development PKI, after one that warms
everything up. Then once more under cProfile.
"""

from __future__ import annotations

import contextlib
import cProfile
import io
import os
import pstats
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

from benchmarks.documents import command, driven, in_process
from benchmarks.observed import CountingStore, Spans
from benchmarks.report import ROOT
from service.pipeline import drive as driving
from service.pipeline.services import Services, Typesetting


@contextlib.contextmanager
def watched(services: Services, spans: Spans) -> Iterator[tuple[Services, CountingStore]]:
    """The services with every step, conversion, parsing, request to the TSA, OCSP and store in a span."""
    import requests
    from pyhanko.pdf_utils.reader import PdfFileReader
    from pyhanko.sign.diff_analysis import StandardDiffPolicy

    from service.pipeline import archive, sign
    from signing.revocation import EvidenceCollector
    from signing.timestamps import TimestampClient

    store = CountingStore(services.store, spans)
    tools = services.typesetting
    office = mock.Mock(wraps=tools.office)
    office.to_pdf = spans.wrapped("LibreOffice", tools.office.to_pdf)
    pdf = mock.Mock(wraps=tools.pdf)
    for name in ("finish", "text", "missing_values"):
        setattr(pdf, name, spans.wrapped(f"pdf {name}", getattr(tools.pdf, name)))
    typesetting = Typesetting(spans.wrapped("docx fill", tools.fill), tools.own_text, office, pdf)
    observed = replace(
        services, store=store, open_typesetting=lambda: typesetting, open_keys=lambda: services.keys
    )

    def stepped(kind: Any, function: Any) -> Any:
        def call(own: Services, agreement: Any, step: Any) -> Any:
            with spans.step(
                f"{kind} {'seal' if step.field == 'seal' else 'party' if step.field else ''}".strip()
            ):
                return function(own, agreement, step)

        return call

    with contextlib.ExitStack() as stack:

        def patch(holder: Any, name: str, what: str) -> None:
            stack.enter_context(mock.patch.object(holder, name, spans.wrapped(what, getattr(holder, name))))

        steps = {kind: stepped(kind, function) for kind, function in driving._STEPS.items()}
        stack.enter_context(mock.patch.object(driving, "_STEPS", steps))
        patch(PdfFileReader, "__init__", "pyHanko opens a PDF")
        patch(StandardDiffPolicy, "review_file", "difference analysis")
        for name in ("signing.embed", "signing.extend"):  # as an attribute, `signing.embed` is the function
            patch(sys.modules[name], "check_step", "check_step")
        patch(TimestampClient, "timestamp", "TSA")
        patch(EvidenceCollector, "collect", "evidence collected")
        patch(requests.Session, "request", "HTTP to TSA, OCSP, CRL")
        patch(archive, "validate", "validate")
        patch(archive, "verify_detached", "verify_detached")
        patch(archive, "seal_detached", "seal_detached")
        for module in (sign, archive):
            for name in ("prepare", "embed", "augment", "rehearse", "sign"):
                if hasattr(module, name):
                    patch(module, name, name)
        yield observed, store


def table(spans: Spans, store: CountingStore, agreements: int) -> str:
    """What one agreement took, as Markdown."""
    steps: dict[str, list[tuple[str, Any]]] = defaultdict(list)
    for (step, what), spent in spans.by.items():
        steps[step].append((what, spent))
    lines = ["| step | what | times | ms | CPU ms here |", "|---|---|---:|---:|---:|"]
    for step, rows in steps.items():
        for what, spent in sorted(rows, key=lambda row: -row[1].seconds):
            shown = f"**{what}**" if what.startswith("all of ") else what
            lines.append(
                f"| {step} | {shown} | {spent.calls / agreements:g} | {1000 * spent.seconds / agreements:.1f} "
                f"| {1000 * spent.cpu / agreements:.1f} |"
            )
    totals: Counter[str] = Counter()
    for (_, what), spent in spans.by.items():
        totals[what] += spent.calls
    requests = ", ".join(f"{n / agreements:g} {verb}" for verb, n in store.requests.most_common())
    again = Counter[str]()
    for key, times in store.read.items():
        again[f"{key.split('/')[0]}/….{key.rpartition('.')[2]}" if "." in key else key.split("/")[0]] += times
    reads = ", ".join(f"{n / agreements:g} {what}" for what, n in again.most_common())
    lines += [
        "",
        f"Store: {requests}; {store.bytes_read / agreements / 1024:.0f} KiB read, "
        f"{store.bytes_written / agreements / 1024:.0f} written. Reads: {reads}; "
        f"distinct keys {len(store.read) / agreements:g}.",
        "In all: "
        + ", ".join(
            f"{what} {n / agreements:g}"
            for what, n in totals.most_common()
            if not what.startswith(("store ", "all of "))
        ),
    ]
    return "\n".join(lines)


def main() -> None:
    count = int(os.environ.get("BENCH_AGREEMENTS") or 5)
    with in_process() as services:
        for _ in range(min(count - 1, 3)):
            driven(services, command())
        spans = Spans()
        with watched(services, spans) as (observed, store):
            for _ in range(count):
                with spans.step("agreement"):
                    driven(observed, command())
        print(table(spans, store, count))
        profile = cProfile.Profile()
        for _ in range(count):
            profile.runcall(driven, services, command())
        for order in ("cumulative", "tottime"):
            text = io.StringIO()
            pstats.Stats(profile, stream=text).sort_stats(order).print_stats(70)
            print(text.getvalue().replace(f"{ROOT}/", ""))


if __name__ == "__main__":
    main()
