"""Scans of paper: what is taken, and each kind of file that is not, with its code, field and way out."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from service.adapters.scans import inspect
from service.domain.paper import MAX_SCAN, ScanFault
from service.errors import CommandRejected, StoreError
from service.pipeline.scans import take_scan
from service.pipeline.services import Services
from tests import scans
from tests.fakes import MemoryStore, without_tools

ID = "5f0c7f0a-91d4-4b53-8d0e-6a1b2c3d4e5f"
PDF, JPEG, PNG = "application/pdf", "image/jpeg", "image/png"


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def services(store: MemoryStore) -> Services:
    return without_tools(store, inspect_scan=inspect)


def key(body: bytes, extension: str = "pdf") -> str:
    return f"agreements/{ID}/blobs/{hashlib.sha256(body).hexdigest()}.{extension}"


def inside(body: bytes, media_type: str = PDF) -> dict[str, Any]:
    return scans.named(body, media_type, content_base64=base64.b64encode(body).decode())


def refusal(services: Services, scan: dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(CommandRejected) as caught:
        take_scan(services, ID, scan)
    (fault,) = caught.value.errors
    assert fault.code == caught.value.code
    assert fault.message.endswith((".", "PNG."))
    return fault.code, fault.path


@pytest.mark.parametrize(
    ("make", "media_type", "extension"),
    [(scans.pdf, PDF, "pdf"), (scans.jpeg, JPEG, "jpg"), (scans.png, PNG, "png")],
)
def test_a_scan_of_each_kind_is_kept_as_it_came(
    services: Services, store: MemoryStore, make: Callable[[], bytes], media_type: str, extension: str
) -> None:
    body = make()
    for _ in range(2):  # safe to repeat
        take_scan(services, ID, inside(body, media_type))
    assert store.objects == {key(body, extension): body}


def test_a_scan_that_is_in_the_store_is_looked_at_there(services: Services, store: MemoryStore) -> None:
    body = scans.pdf(pages=2)
    assert refusal(services, scans.named(body)) == ("scan_missing", "scan.sha256")
    store.put(key(body), b"%PDF- another")
    assert refusal(services, scans.named(body)) == ("scan_differs", "scan.sha256")
    store.put(key(body), body)
    take_scan(services, ID, scans.named(body))
    large = b"%PDF-" + bytes(MAX_SCAN)
    store.put(key(large), large)
    assert refusal(services, scans.named(large)) == ("scan_too_large", "scan.sha256")


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: b"", "scan_unreadable"),
        (scans.without_pages, "scan_unreadable"),
        (scans.blank, "scan_unreadable"),
        (lambda: scans.pdf()[:-200], "scan_unreadable"),
        (lambda: b"%PDF-1.7\n" + bytes(5000), "scan_unreadable"),
        (scans.encrypted, "scan_encrypted"),
        (scans.with_script, "scan_active"),
        (scans.with_file, "scan_active"),
        (scans.with_launching_link, "scan_active"),
    ],
)
def test_a_pdf_that_is_no_scan(
    services: Services, store: MemoryStore, make: Callable[[], bytes], code: str
) -> None:
    assert refusal(services, inside(make())) == (code, "scan")
    assert store.objects == {}


def test_a_pdf_whose_pages_never_end_is_broken() -> None:
    assert inspect(scans.pdf_of_pages_without_end(), PDF) is ScanFault.BROKEN


@pytest.mark.parametrize(("make", "media_type"), [(scans.jpeg, JPEG), (scans.png, PNG)])
def test_an_image_that_ends_too_early(services: Services, make: Callable[[], bytes], media_type: str) -> None:
    whole = make()
    for body in (whole[: len(whole) // 2], whole[:12]):
        assert refusal(services, inside(body, media_type)) == ("scan_unreadable", "scan")


def test_a_file_that_is_not_of_its_type(services: Services) -> None:
    assert refusal(services, inside(scans.png(), JPEG)) == ("scan_type_differs", "scan.media_type")
    assert refusal(services, inside(b"MZ\x90", PDF)) == ("scan_type_differs", "scan.media_type")
    wrong = inside(scans.pdf()) | {"sha256": "0" * 64}
    assert refusal(services, wrong) == ("scan_differs", "scan.sha256")


def test_a_store_that_does_not_answer_is_no_fault_of_the_scan(services: Services, store: MemoryStore) -> None:
    def silent(_key: str) -> int:
        raise StoreError("no answer")

    store.size = silent  # type: ignore[method-assign]
    with pytest.raises(StoreError):
        take_scan(services, ID, scans.named(scans.pdf()))
