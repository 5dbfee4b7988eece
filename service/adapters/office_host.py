"""The process beside LibreOffice: starts it, speaks UNO with it, and does not outlive its parent.

Run by the system's Python, which has `uno`; imports nothing of ours. `office.py` starts it with its private
folder, the path of soffice and the seconds a start may take, and speaks lines of JSON with it:

    ← {"event": "ready", "version": "7.4"}            or {"event": "failed", "reason": …}
    → {"source": "in.docx", "target": "out.pdf", "part": 2}
    ← {"ok": true}                                    or {"ok": false, "reason": "load" | "export" | "office"}

End of file on stdin means that the parent is gone, however it went: LibreOffice is killed, the folder removed.
"""

import ctypes
import functools
import hashlib
import json
import os
import queue
import resource
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import uno
from com.sun.star.beans import PropertyValue
from com.sun.star.connection import NoConnectException
from com.sun.star.document.MacroExecMode import NEVER_EXECUTE
from com.sun.star.document.UpdateDocMode import NO_UPDATE
from com.sun.star.io import IOException
from com.sun.star.lang import IllegalArgumentException

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
SOCKET_FOLDERS = ("/tmp", "/var/tmp")  # noqa: S108 (LibreOffice takes the first it can write to)
EXITS_OF_A_RESTART = (79, 81)  # soffice.bin asks to be started again


class StartFailed(Exception):
    """LibreOffice is not there to be spoken with."""


class Office:
    """One soffice.bin on the profile in `folder`."""

    def __init__(self, folder, program):
        self.folder = folder
        self.program = program
        self.installation = (folder / "profile").as_uri()
        self.pipe = f"signert-{secrets.token_hex(16)}"
        self.process = None
        self.desktop = None
        self.version = ""
        self.ending = threading.Event()

    def start(self, deadline):
        """Start LibreOffice and connect; `version` and `desktop` are there then. Raises StartFailed."""
        # On a fresh profile LibreOffice lays out its caches, opens its pipe, and then ends to be started again:
        # who connects too early loses it. So it comes up and goes down once, without a pipe.
        self._spawn("--terminate_after_init")
        self._wait(deadline)
        self._spawn(f"--accept=pipe,name={self.pipe};urp;")
        local = uno.getComponentContext()
        resolver = local.ServiceManager.createInstanceWithContext("com.sun.star.bridge.UnoUrlResolver", local)
        context = None
        while context is None:
            try:
                context = resolver.resolve(f"uno:pipe,name={self.pipe};urp;StarOffice.ComponentContext")
            except NoConnectException:
                if self.process.poll() is not None:
                    raise StartFailed(f"soffice ended with status {self.process.returncode}") from None
                if time.monotonic() > deadline:
                    raise StartFailed("soffice did not open its pipe in time") from None
                time.sleep(0.02)
        manager = context.ServiceManager
        self.desktop = manager.createInstanceWithContext("com.sun.star.frame.Desktop", context)
        provider = manager.createInstanceWithContext(
            "com.sun.star.configuration.ConfigurationProvider", context
        )
        setup = provider.createInstanceWithArguments(
            "com.sun.star.configuration.ConfigurationAccess",
            (value("nodepath", "/org.openoffice.Setup/Product"),),
        )
        self.version = setup.ooSetupVersionAboutBox or setup.ooSetupVersion

    def _wait(self, deadline):
        try:
            status = self.process.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise StartFailed("soffice did not lay out its profile in time") from None
        if status not in (0, *EXITS_OF_A_RESTART):
            raise StartFailed(f"soffice ended with status {status}")

    def _spawn(self, purpose):
        self.process = subprocess.Popen(  # noqa: S603 (a fixed program, our own arguments)
            [
                self.program,
                f"-env:UserInstallation={self.installation}",
                # As root LibreOffice would keep a cache for all users in the system, which others then cannot read.
                f"-env:UNO_SHARED_PACKAGES_CACHE={self.installation}/shared",
                f"-env:BUNDLED_EXTENSIONS={self.installation}/bundled",
                "--headless",
                "--invisible",
                "--nologo",
                "--nodefault",
                "--norestore",
                "--nolockcheck",
                "--nofirststartwizard",
                purpose,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            preexec_fn=functools.partial(die_with, os.getpid()),  # noqa: PLW1509 (it takes no lock)
        )

    def convert(self, source, target, part):
        """Returns the answer's fields. Any other exception than those below says that LibreOffice is gone."""
        try:
            # A file, not a stream: Writer trusts what a stream links to. With a filter, for else it guesses.
            document = self.desktop.loadComponentFromURL(source.as_uri(), "_blank", 0, LOAD)
        except (IllegalArgumentException, IOException) as error:
            return {"ok": False, "reason": "load", "detail": type(error).__name__}
        if document is None:
            return {"ok": False, "reason": "load", "detail": "no document"}
        try:
            document.storeToURL(target.as_uri(), export(part))
        except IOException as error:
            return {"ok": False, "reason": "export", "detail": type(error).__name__}
        finally:
            document.close(True)
        return {"ok": True}

    def end(self):
        """Kill LibreOffice and remove what it has on disk."""
        self.ending.set()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in (self.pipe, f"SingleOfficeIPC_{single_office_name(self.installation)}"):
            for place in SOCKET_FOLDERS:
                Path(place, f"OSL_PIPE_{os.getuid()}_{name}").unlink(missing_ok=True)

    def watch(self):
        """End this process when LibreOffice ends: the parent then knows, also between two documents."""
        self.process.wait()
        if not self.ending.is_set():
            self.end()
            os._exit(1)


def single_office_name(installation):
    """How LibreOffice names the socket that keeps a second one off its profile."""
    digest = hashlib.md5(installation.encode("utf-16-le"), usedforsecurity=False).digest()
    return "".join(f"{byte:x}" for byte in digest)


def die_with(parent):
    """In the child before exec: no core dumps (they hold the document), SIGKILL when `parent` dies."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)


def value(name, content):
    return PropertyValue(name, 0, content, 0)


LOAD = (
    value("FilterName", "MS Word 2007 XML"),
    value("Hidden", True),
    value("HiddenForConversion", True),  # a frame without menus and bars, which nobody would see
    value("ReadOnly", True),
    value("MacroExecutionMode", NEVER_EXECUTE),
    value("UpdateDocMode", NO_UPDATE),
    value("RepairPackage", False),
)


def export(part):
    """Arguments of storeToURL: tagged PDF/A-`part`b that also claims PDF/UA-1."""
    settings = (
        value("SelectPdfVersion", part),
        value("UseTaggedPDF", True),
        value("PDFUACompliance", True),
        value("ExportBookmarks", True),
        value("DisplayPDFDocumentTitle", True),
        value("InitialView", 0),
        value("Magnification", 0),
        value("UseLosslessCompression", True),
        value("ReduceImageResolution", False),
        value("ExportFormFields", False),
        value("ExportNotes", False),
        value("ExportNotesInMargin", False),
        value("ExportHiddenSlides", False),
        value("AddStream", False),
        value("ExportLinksRelativeFsys", False),
        value("ConvertOOoTargetToPDFTarget", False),
        value("EmbedStandardFonts", True),
    )
    data = uno.Any("[]com.sun.star.beans.PropertyValue", settings)
    return (value("FilterName", "writer_pdf_Export"), value("FilterData", data))


def soffice_program(path):
    """soffice.bin beside the script: one process to watch and kill, instead of script, splash and office."""
    binary = Path(path).resolve().with_name("soffice.bin")
    return str(binary if binary.exists() else path)


def answer(line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main():
    folder, program, start_seconds = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    os.umask(0o077)
    office = Office(folder, soffice_program(program))
    requests = queue.SimpleQueue()

    def listen():
        # A thread of its own: the main one may be waiting for a LibreOffice that never answers.
        for line in sys.stdin:
            requests.put(json.loads(line))
        office.end()
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    try:
        office.start(time.monotonic() + start_seconds)
        threading.Thread(target=office.watch, daemon=True).start()
        answer({"event": "ready", "version": office.version})
        while True:
            request = requests.get()
            source, target = folder / request["source"], folder / request["target"]
            answer(office.convert(source, target, request["part"]))
    except StartFailed as error:
        answer({"event": "failed", "detail": str(error)})
    except Exception as error:  # noqa: BLE001 (whatever it is, the parent must hear of it)
        answer({"event": "failed", "ok": False, "reason": "office", "detail": type(error).__name__})
    office.end()


if __name__ == "__main__":
    main()
