"""LibreOffice under supervision: real instances, really stopped, killed and cut off."""

from __future__ import annotations

import contextlib
import http.server
import io
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.oxml.ns import qn
from docx.shared import Mm

from service.adapters.office import Isolation, Office, OfficeSettings, isolation_of_this_system
from service.adapters.pdf import finish, text
from service.errors import ConfigurationError, NotArchivable, RenderFailed, RenderTimeout, UnreadableDocument
from tests.conformance.documents import a4, accessible, add_field, png, saved
from tests.processes import members, soffice_of, stop, wait_until

pytestmark = pytest.mark.office
NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def docx() -> bytes:
    document = a4()
    document.add_paragraph("Ájlin Šárá Øvergård og Łukasz Żółkiewski")
    return saved(document)


@pytest.fixture(scope="module")
def shared_office() -> Iterator[Office]:
    with Office() as office:
        yield office


@pytest.fixture
def office() -> Iterator[Office]:
    with Office() as office:
        yield office


def test_converts_a_word_file_with_every_letter(shared_office: Office, docx: bytes) -> None:
    assert text(shared_office.to_pdf(docx)) == "Ájlin Šárá Øvergård og Łukasz Żółkiewski"


def test_stays_warm_between_documents(shared_office: Office, docx: bytes) -> None:
    shared_office.to_pdf(docx)
    group = shared_office.process_group
    shared_office.to_pdf(docx)

    assert group is not None
    assert shared_office.process_group == group


def test_the_same_document_gives_the_same_bytes(shared_office: Office) -> None:
    word = accessible(filler=1)

    first, second = (
        finish(shared_office.to_pdf(word), title="Avtale", language="nb-NO", created=NOW) for _ in range(2)
    )

    assert first == second


@pytest.mark.parametrize(
    "body",
    [b"", b"not a Word file", b"<html><body>Nor is this.</body></html>"],
    ids=["empty", "plain text", "HTML"],
)
def test_refuses_what_is_no_word_file_for_good(shared_office: Office, body: bytes) -> None:
    with pytest.raises(UnreadableDocument) as caught:
        shared_office.to_pdf(body)

    assert not caught.value.retryable
    assert caught.value.remedy


def test_refuses_a_damaged_word_file_and_goes_on(shared_office: Office, docx: bytes) -> None:
    shared_office.to_pdf(docx)
    group = shared_office.process_group

    with pytest.raises(UnreadableDocument):
        shared_office.to_pdf(docx[: len(docx) // 2])

    assert shared_office.to_pdf(docx).startswith(b"%PDF")
    assert shared_office.process_group == group


def test_a_libreoffice_that_hangs_is_killed_with_all_it_started(docx: bytes) -> None:
    with Office(OfficeSettings(timeout_seconds=1)) as office:
        office.start()
        group = office.process_group
        stop(soffice_of(office))

        with pytest.raises(RenderTimeout) as caught:
            office.to_pdf(docx)

        assert caught.value.retryable
        assert caught.value.code == "render_timeout"
        assert members(group) == {}
        with Office() as patient:  # the time limit above is for a stopped process, not for this machine
            assert patient.to_pdf(docx).startswith(b"%PDF")
        assert office.start()
        assert office.process_group != group


def test_a_document_that_takes_too_long_is_given_up() -> None:
    document = a4()
    for _ in range(2000):
        document.add_paragraph("Arbeidsgiver tilrettelegger arbeidsplassen. " * 10)
    with Office(OfficeSettings(timeout_seconds=0.05)) as office, pytest.raises(RenderTimeout):
        office.to_pdf(saved(document))


def test_a_libreoffice_that_dies_over_a_document_fails_it_and_is_replaced(
    office: Office, docx: bytes
) -> None:
    office.start()
    group, soffice = office.process_group, soffice_of(office)
    stop(soffice)
    with ThreadPoolExecutor(1) as pool:
        conversion = pool.submit(office.to_pdf, docx)
        wait_until(Path(f"/proc/{soffice}/cwd/in.docx").exists)  # else it may be replaced before it has begun
        os.kill(soffice, signal.SIGKILL)
        with pytest.raises(RenderFailed) as caught:
            conversion.result()

    assert caught.value.retryable
    assert members(group) == {}
    assert office.to_pdf(docx).startswith(b"%PDF")


def test_a_libreoffice_that_dies_between_documents_is_replaced_unseen(office: Office, docx: bytes) -> None:
    office.start()
    group = office.process_group
    os.kill(soffice_of(office), signal.SIGKILL)
    wait_until(lambda: members(group) == {})

    assert office.to_pdf(docx).startswith(b"%PDF")


def test_is_replaced_after_some_documents(docx: bytes) -> None:
    with Office(OfficeSettings(recycle_after=2)) as office:
        office.to_pdf(docx)
        first = office.process_group
        office.to_pdf(docx)
        assert members(first) == {}
        office.to_pdf(docx)
        assert office.process_group not in {None, first}


def test_is_replaced_when_it_has_grown(docx: bytes) -> None:
    with Office(OfficeSettings(memory_limit_bytes=1)) as office:
        office.start()
        group = office.process_group
        office.to_pdf(docx)

        assert members(group) == {}


def test_at_rest_it_is_replaced_before_its_time_and_not_without_need(docx: bytes) -> None:
    starts: list[str] = []
    with Office(OfficeSettings(recycle_after=4), on_start=starts.append) as office:
        for _ in range(2):
            office.to_pdf(docx)
            office.rest()
        assert starts == ["first"]
        first = office.process_group

        office.to_pdf(docx)
        office.rest()  # three of four
        assert office.to_pdf(docx).startswith(b"%PDF")

        assert members(first) == {}
        assert office.process_group not in {None, first}
        assert starts == ["first", "recycled"]


def test_at_rest_the_next_one_starts_for_one_that_was_ended_in_the_midst_of_work(docx: bytes) -> None:
    with Office(OfficeSettings(recycle_after=1)) as office:
        office.to_pdf(docx)
        assert office.process_group is None
        office.rest()
        wait_until(lambda: office.process_group is not None)

        office.rest()
        office.close()  # which waits for what was begun
        assert office.process_group is None
        office.rest()
        assert office.process_group is None


def test_a_replacement_that_fails_at_rest_is_left_to_the_next_document(
    docx: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    program = tmp_path / "soffice"
    program.symlink_to("/usr/bin/soffice")
    with Office(OfficeSettings(soffice=program, recycle_after=1)) as office:
        office.to_pdf(docx)
        program.unlink()
        program.symlink_to("/bin/false")
        office.rest()
        wait_until(lambda: "at rest" in caplog.text)

        program.unlink()
        program.symlink_to("/usr/bin/soffice")
        assert office.to_pdf(docx).startswith(b"%PDF")


def test_closing_leaves_no_process_and_no_file(
    office: Office, docx: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    office.to_pdf(docx)
    group = office.process_group
    (folder,) = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert not list(folder.glob("*.docx")) and not list(folder.glob("*.pdf"))

    command = Path(f"/proc/{soffice_of(office)}/cmdline").read_bytes()
    (socket,) = Path("/tmp").glob(f"OSL_PIPE_*_{re.search(b'name=(.+?);', command)[1].decode()}")
    assert socket.stat().st_mode & 0o077 == 0

    office.close()

    assert members(group) == {}
    assert list(tmp_path.iterdir()) == []
    assert not socket.exists()


@pytest.mark.parametrize(("room", "place"), [(0, "/dev/shm/"), (2**62, "/tmp/")], ids=["room", "no room"])
def test_documents_lie_in_memory_where_nobody_chose_a_place_and_there_is_room(
    office: Office, docx: bytes, monkeypatch: pytest.MonkeyPatch, room: int, place: str
) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("service.adapters.office._MEMORY_ROOM", room)

    assert office.to_pdf(docx).startswith(b"%PDF")

    command = Path(f"/proc/{soffice_of(office)}/cmdline").read_bytes().decode()
    folder = Path(re.search(rf"UserInstallation=file://({place}signert-office-[^/]+)", command)[1])
    assert folder.stat().st_mode & 0o777 == 0o700
    office.close()
    assert not folder.exists()


@pytest.mark.parametrize("namespaces", [True, False])
def test_nothing_remains_when_the_worker_is_killed(tmp_path: Path, namespaces: bool) -> None:
    program = f"""
import sys
from service.adapters.office import Office, OfficeSettings
office = Office(OfficeSettings(namespaces={namespaces}))
office.start()
print(office.process_group, flush=True)
sys.stdin.read()
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    worker = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    with worker:
        assert worker.stdout is not None
        group = int(worker.stdout.readline())
        assert any(name.startswith("soffice") for name in members(group).values())
        assert list(tmp_path.iterdir()) != []
        worker.kill()

    wait_until(lambda: members(group) == {})
    wait_until(lambda: list(tmp_path.iterdir()) == [])


def test_nothing_remains_when_the_host_process_is_killed(docx: bytes) -> None:
    with Office(OfficeSettings(namespaces=False)) as office:
        office.start()
        group = office.process_group
        assert group is not None
        os.kill(group, signal.SIGKILL)
        wait_until(lambda: members(group) == {})
        os.waitid(os.P_PID, group, os.WEXITED | os.WNOWAIT)

        assert office.to_pdf(docx).startswith(b"%PDF")


def test_a_forked_child_neither_uses_nor_ends_its_parents_instance(office: Office, docx: bytes) -> None:
    office.start()
    group = office.process_group
    child = os.fork()
    if child == 0:  # pragma: no cover
        status = 1
        with contextlib.suppress(BaseException):
            fresh = office.process_group is None and office.to_pdf(docx).startswith(b"%PDF")
            other = office.process_group != group
            office.close()
            status = 0 if fresh and other else 1
        os._exit(status)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert office.to_pdf(docx).startswith(b"%PDF")
    assert office.process_group == group


def test_two_instances_work_side_by_side_and_apart(docx: bytes) -> None:
    with Office() as one, Office() as other, ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda office: office.to_pdf(docx), (one, other, one, other)))
        assert all(result.startswith(b"%PDF") for result in results)
        assert one.process_group != other.process_group

        stop(soffice_of(one))

        assert other.to_pdf(docx).startswith(b"%PDF")


def test_sees_nothing_of_the_workers_environment(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNERT_SECRET", "not-for-libreoffice")
    office.start()

    for pid in members(office.process_group):
        assert b"SIGNERT_SECRET" not in Path(f"/proc/{pid}/environ").read_bytes()


@pytest.fixture
def counting_server() -> Iterator[tuple[str, list[str]]]:
    """A server that would give a picture to whoever asks, and remembers who did."""
    hits: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hits.append(f"{self.command} {self.path}")
            self.send_response(200)
            self.end_headers()
            self.wfile.write(png())

        do_HEAD = do_OPTIONS = do_PROPFIND = do_GET  # noqa: N815 (the names the server looks for)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", hits
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("namespaces", [True, False])
def test_fetches_nothing_that_a_document_links_to(
    counting_server: tuple[str, list[str]], tmp_path: Path, namespaces: bool
) -> None:
    """Without our profile, LibreOffice asks this server twice for the first picture."""
    address, hits = counting_server
    local = tmp_path / "local.png"
    local.write_bytes(png())
    document = a4()
    for target in (f"{address}/picture.png", local.as_uri()):
        picture = document.add_paragraph("Bilde: ").add_run().add_picture(io.BytesIO(png()), width=Mm(30))
        (blip,) = picture._inline.iter(qn("a:blip"))
        del blip.attrib[qn("r:embed")]
        blip.set(qn("r:link"), document.part.relate_to(target, RELATIONSHIP_TYPE.IMAGE, is_external=True))
    for instruction in ("INCLUDEPICTURE", "INCLUDETEXT"):
        add_field(document.add_paragraph(), f'{instruction} "{address}/{instruction}"')

    with Office(OfficeSettings(namespaces=namespaces)) as office:
        pdf = office.to_pdf(saved(document))

    assert hits == []
    assert pdf.count(b"/Subtype/Image") == 0
    assert text(pdf).startswith("Bilde:")


def test_a_character_that_no_font_has_is_not_passed_off_as_printed(shared_office: Office) -> None:
    """LibreOffice draws a box and says in the PDF that it is the character, which satisfies validators."""
    document = a4()
    document.add_paragraph("Deltaker: \u0378 Nordmann")  # not assigned in Unicode
    pdf = shared_office.to_pdf(saved(document))

    with pytest.raises(NotArchivable) as caught:
        finish(pdf, title="Avtale", language="nb-NO")

    assert not caught.value.retryable
    assert "font" in caught.value.remedy


def test_says_how_it_is_kept_apart() -> None:
    assert Office(OfficeSettings(namespaces=False)).isolation is Isolation.CONFIGURATION
    assert Office().isolation is isolation_of_this_system()[0]


@pytest.mark.parametrize("setting", ["soffice", "uno_python"])
def test_says_what_to_install_when_it_is_not_there(setting: str, docx: bytes) -> None:
    settings = OfficeSettings(**{setting: Path("/nowhere/program")})  # type: ignore[arg-type]
    with Office(settings) as office, pytest.raises(ConfigurationError) as caught:
        office.to_pdf(docx)

    assert "/nowhere/program" in caught.value.message
    assert "Install" in caught.value.remedy


def test_says_so_when_there_is_no_place_for_its_files(
    docx: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with Office() as office, pytest.raises(RenderFailed) as caught:
        office.to_pdf(docx)

    assert caught.value.retryable
    assert "nowhere" in caught.value.remedy


def test_says_so_when_libreoffice_does_not_start(docx: bytes) -> None:
    with Office(OfficeSettings(soffice=Path("/bin/false"))) as office, pytest.raises(RenderFailed) as caught:
        office.to_pdf(docx)

    assert caught.value.retryable
    assert "did not start" in caught.value.message


def test_starts_once_more_when_libreoffice_fails_at_the_first_attempt(docx: bytes, tmp_path: Path) -> None:
    program = tmp_path / "soffice"
    program.write_text(
        f'#!/bin/sh\nmkdir "{tmp_path}/failed" 2>/dev/null && exit 1\nexec /usr/bin/soffice "$@"\n'
    )
    program.chmod(0o755)
    with Office(OfficeSettings(soffice=program)) as office:
        assert office.to_pdf(docx).startswith(b"%PDF-")
