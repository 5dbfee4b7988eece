"""Word to tagged PDF/A: our warm LibreOffice, the command, and unoserver; one worker and two; 1 to 200 pages.

All have the same LibreOffice and the same export options. The command has a profile of its own, which is warm.
unoserver runs under the system's Python, which alone has `uno` (`/usr/bin/python3 -m unoserver.server`, its package
by PYTHONPATH), and is asked by its own client in a process that stays, with paths.

Ours runs where there is no network.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.documents import command, driven, in_process, pages_docx, rendered
from benchmarks.peers import Peer, peer, site_packages, until
from benchmarks.report import Result, table
from benchmarks.sides import interleaved, rounds, timed
from benchmarks.statistic import Sample, ratio
from service.adapters.docx import eased
from service.adapters.office import Office
from tests.ports import free_ports

_OPTIONS: dict[str, bool | int] = {
    "SelectPdfVersion": 2,
    "UseTaggedPDF": True,
    "PDFUACompliance": True,
    "ExportBookmarks": True,
    "DisplayPDFDocumentTitle": True,
    "UseLosslessCompression": True,
    "ReduceImageResolution": False,
    "ExportFormFields": False,
    "ExportNotes": False,
    "EmbedStandardFonts": True,
}
_SIDES = ("Signert", "soffice", "unoserver")
_PAGES = (1, 10, 50, 200)


@dataclass
class Worker:
    """One of each, with a folder of its own."""

    office: Office
    folder: Path
    port: str
    peer: Peer

    def render(self, side: str, docx: bytes) -> bytes:
        if side == "Signert":
            return self.office.to_pdf(docx)
        source, target = self.folder / f"{side}.docx", self.folder / f"{side}.pdf"
        target.unlink(missing_ok=True)
        source.write_bytes(docx)
        if side == "soffice":
            self._command(source)
        else:
            options = [f"{name}={str(value).lower()}" for name, value in _OPTIONS.items()]
            self.peer("unoserver", source=source, target=target, port=self.port, options=options)
        return target.read_bytes()

    def _command(self, source: Path) -> None:
        options = {
            name: {"type": "boolean" if isinstance(value, bool) else "long", "value": str(value).lower()}
            for name, value in _OPTIONS.items()
        }
        subprocess.run(
            [
                "soffice", "--headless", "--norestore", f"-env:UserInstallation={(self.folder / 'profile').as_uri()}",
                "--convert-to", f"pdf:writer_pdf_Export:{json.dumps(options)}", "--outdir", self.folder, source,
            ],
            check=True, capture_output=True, timeout=300,
        )  # fmt: skip


@contextlib.contextmanager
def _unoserver(folder: Path) -> Iterator[str]:
    """A running unoserver; its port."""
    port, uno_port = map(str, free_ports(2))
    with (folder / "unoserver.log").open("wb") as log:
        server = subprocess.Popen(
            [
                "setpriv", "--pdeathsig", "TERM", "/usr/bin/python3", "-m", "unoserver.server", "--port", port,
                "--uno-port", uno_port, "--user-installation", folder / "unoserver", "--executable", "soffice",
            ],
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(site_packages())},
            stdout=log, stderr=log,
        )  # fmt: skip
    try:

        def answers() -> bool:
            said = subprocess.run(
                ["/usr/bin/python3", "-c", f"import xmlrpc.client as x; x.ServerProxy('http://127.0.0.1:{port}').info()"],
                capture_output=True, check=False,
            )  # fmt: skip
            if server.poll() is not None:
                raise SystemExit(f"unoserver does not start: {(folder / 'unoserver.log').read_text()}")
            return said.returncode == 0

        until(answers, 60, "unoserver")
        yield port
    finally:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(20)
        server.kill()
        server.wait()


@contextlib.contextmanager
def _workers(count: int) -> Iterator[list[Worker]]:
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(count):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            port = stack.enter_context(_unoserver(folder))
            office = stack.enter_context(Office(eased=eased))
            found.append(Worker(office, folder, port, stack.enter_context(peer())))
        yield found


def _checked(workers: Sequence[Worker], docx: bytes) -> int:
    """Bytes of each side's PDF, which has to be tagged and PDF/A: else the comparison is none."""
    for side in _SIDES:
        pdf = workers[0].render(side, docx)
        assert b"/MarkInfo" in pdf and b"pdfaid" in pdf, f"{side} gives no tagged PDF/A"
    return len(pdf)


def _together(workers: Sequence[Worker], side: str, docx: bytes, each: int) -> None:
    """So many documents by each of these workers at the same time."""

    def work(worker: Worker) -> None:
        for _ in range(each):
            worker.render(side, docx)

    with ThreadPoolExecutor(len(workers)) as pool:
        list(pool.map(work, workers))


def run() -> Result:
    usual = 30
    wanted = rounds(usual)
    with in_process() as services:
        agreement, _ = rendered(services, driven(services, command()))
    with _workers(2) as workers:
        _checked(workers, agreement)
        one = {side: timed(partial(workers[0].render, side, agreement)) for side in _SIDES}
        single = interleaved(one, wanted, warm=3, title="render")
        each = max(2, wanted // 6)
        crowds = {
            f"{side} {number}": timed(partial(_together, workers[:number], side, agreement, each))
            for side in _SIDES
            for number in (1, 2)
        }
        together = interleaved(crowds, max(3, wanted // 6), title="two workers")
        by_pages: dict[int, dict[str, Sample]] = {}
        for count in _PAGES:
            docx = pages_docx(count)
            sides = {side: timed(partial(workers[0].render, side, docx)) for side in _SIDES}
            by_pages[count] = interleaved(
                sides, max(3, wanted // (3 if count < 100 else 10)), title=f"{count} pages"
            )
    gain = {
        side: Sample(
            tuple(
                2 * a / b
                for a, b in zip(together[f"{side} 1"].values, together[f"{side} 2"].values, strict=True)
            )
        )
        for side in _SIDES
    }
    ours = single["Signert"]
    rows = [
        [
            side,
            single[side].shown(1000),
            "" if side == "Signert" else str(ratio(single[side], ours)),
            gain[side].shown(1, 2),
            *(by_pages[count][side].shown(1000) for count in _PAGES),
        ]
        for side in _SIDES
    ]
    head = ["agreement of 4 pages, ms (10th–90th)", "median", "times ours", "two workers / one"]
    text = (
        f"{table([*head, *(f'{count} p.' for count in _PAGES)], rows)}\n\n"
        f"{wanted} rounds in turns. Wanted: the command ≥ 6×, unoserver ≥ 1.5×, two workers ≥ 1.8× one."
    )
    data = {
        "single": {side: sample.as_json() for side, sample in single.items()},
        "together": {name: sample.as_json() for name, sample in together.items()},
        "pages": {count: {side: s.as_json() for side, s in by.items()} for count, by in by_pages.items()},
        "ratios": {side: ratio(single[side], ours).as_json() for side in _SIDES[1:]},
        "two_workers": {side: sample.as_json() for side, sample in gain.items()},
    }
    return Result("render", text, data, complete=wanted >= usual)
