"""The parties' page in a real browser: as people meet it, by mouse, by keyboard, without JavaScript, on a small screen.

Every page is looked at by axe, in every language and state.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.pagesite import PageSite, Served

pytestmark = [pytest.mark.office, pytest.mark.pki]

NewPage = Callable[..., Page]
LANGUAGES = {"nb": "nb", "nn": "nn", "en": "en"}
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=60_000)  # a check of signatures takes a while on a busy machine
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(_FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def new_page(browser: Browser, page_server: Served) -> Iterator[NewPage]:
    """A page of a browser of its own; what it complains of fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def make(**options: Any) -> Page:
        context = browser.new_context(base_url=page_server.url, locale="nb-NO", **options)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console",
            lambda m: (
                complaints.append(m.text) if m.type == "error" and "status of 4" not in m.text else None
            ),
        )
        page.on("pageerror", lambda e: complaints.append(str(e)))
        return page

    yield make
    for context in contexts:
        context.close()
    assert complaints == []


def log_in(page: Page, person: str, path: str) -> None:
    page.goto(path)
    page.get_by_role("link", name="Logg inn med ID-porten").click()
    page.get_by_role("link", name=person).click()
    page.wait_for_url(f"**{path}")


def sideways(page: Page) -> int:
    """By how many pixels the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


def look(page: Page, language: str) -> None:
    """What must be true of every page."""
    found = Axe().run(page, options=RULES)
    assert found.response["violations"] == [], found.generate_report()
    assert page.locator("html").get_attribute("lang") == language
    assert page.locator("h1").count() == 1
    assert page.title().endswith("– Signert")
    assert sideways(page) <= 0


PLACES: dict[str, list[str]] = {
    "Ájlin": [
        "/avtale/{signed}",
        "/avtale/{signed}/1/tekst",
        "/avtale/{signed}/1/tekst?utgave=oversettelse",
        "/avtale/{declined}",
        "/avtale/{expired}",
        "/avtale/{amended}/versjoner",
        "/avtale/{amended}/2/tekst",
        "/mine",
    ],
    "Łukasz": ["/avtale/{waiting}", "/avtale/{amended}"],
    "Marit": ["/avtale/{undeclared}"],
    "Ragnhild": ["/avtale/{protected}"],
    "Ingen": ["/avtale/{signed}", "/mine"],
}


@pytest.mark.parametrize("person", PLACES)
def test_every_page_in_every_language_is_accessible_on_a_small_screen(
    new_page: NewPage, page_site: PageSite, person: str
) -> None:
    page = new_page(viewport={"width": 320, "height": 640})
    log_in(page, person, f"/avtale/{page_site.ids['signed']}")
    for place in PLACES[person]:
        for language, lang in LANGUAGES.items():
            path = place.format(**page_site.ids)
            page.goto(f"{path}{'&' if '?' in path else '?'}sprak={language}")
            look(page, lang)


def test_pages_before_login_and_errors_are_accessible(new_page: NewPage, page_site: PageSite) -> None:
    page = new_page(viewport={"width": 320, "height": 640})
    for path in (
        "/",
        f"/avtale/{page_site.ids['signed']}",
        "/verify",
        "/nothing",
        "/logget-ut",
        "/logg-inn/svar",
    ):
        for language, lang in LANGUAGES.items():
            page.goto(f"{path}?sprak={language}")
            look(page, lang)


def test_wide_pages_and_large_text_need_no_scrolling_sideways(new_page: NewPage, page_site: PageSite) -> None:
    paths = ["/", "/verify", *(f"/avtale/{page_site.ids['signed']}{rest}" for rest in ("", "/1/tekst"))]
    # A window of 1280 pixels at 200 % shows as much as one of 640, with every pixel doubled.
    page = new_page(viewport={"width": 640, "height": 400}, device_scale_factor=2)
    log_in(page, "Ájlin", f"/avtale/{page_site.ids['signed']}")
    for path in paths:
        page.goto(path)
        assert sideways(page) <= 0
    page.set_viewport_size({"width": 1280, "height": 800})
    for path in paths:
        page.goto(path)
        look(page, "nb")
        page.evaluate("document.documentElement.style.fontSize = '36px'")  # text alone at 200 %
        assert sideways(page) <= 0


def test_a_participant_without_javascript_reads_downloads_and_checks(
    new_page: NewPage, page_site: PageSite, signed_pdf: bytes
) -> None:
    path = f"/avtale/{page_site.ids['signed']}"
    page = new_page(java_script_enabled=False)
    log_in(page, "Ájlin", path)
    expect(page.get_by_role("heading", level=1)).to_have_text(
        "Personlig tilretteleggings- og oppfølgingsavtale"
    )
    expect(page.get_by_role("heading", name="Alle har signert")).to_be_visible()
    people = page.get_by_role("region", name="Hvem har signert?").get_by_role("listitem")
    expect(people).to_have_count(3)
    expect(people.nth(0)).to_contain_text(re.compile(r"Deltaker\s+deg\s+Ájlin Šárá Øvergård\s+Signerte"))
    expect(people.nth(1)).to_contain_text("Łukasz Żółkiewski, Fjordbakeriet & Kafé Sandvika AS")

    page.get_by_role("link", name="Les som tekst").click()
    document = page.get_by_role("article")
    expect(document.get_by_role("heading", level=1)).to_have_text(
        "Personlig tilretteleggings- og oppfølgingsavtale"
    )
    needs = document.get_by_role("table", name="Tilrettelegging")
    expect(needs.get_by_role("columnheader")).to_have_text(
        ["Behov", "Det gjør vi", "Ansvarlig", "Frist", "Status"]
    )
    expect(needs.get_by_role("row").nth(1).get_by_role("cell").nth(2)).to_have_text("Arbeidsgiver")
    expect(document.get_by_role("listitem").first).to_contain_text(
        re.compile(r"^\s*Deltakeren møter som avtalt")
    )
    expect(document.get_by_role("term").first).to_have_text("Tiltak")
    page.get_by_role("link", name="Tilbake til avtalen").first.click()

    page.get_by_role("link", name="Les på engelsk").click()
    expect(page.get_by_role("article")).to_have_attribute("lang", "en")
    expect(page.get_by_role("article").get_by_role("heading", level=1)).to_have_text(
        "Personal agreement on accommodation and follow-up"
    )
    page.get_by_role("link", name="Tilbake til avtalen").first.click()

    with page.expect_download() as download:
        page.get_by_role("link", name="Den signerte avtalen").click()
    assert Path(download.value.path()).read_bytes() == signed_pdf
    with page.expect_download() as download:
        page.get_by_role("link", name="Kvitteringen", exact=True).click()
    assert Path(download.value.path()).read_bytes().startswith(b"%PDF-")

    page.get_by_role("button", name="Sjekk signaturene").click()
    expect(page.get_by_role("heading", name="Signaturene er ekte")).to_be_visible()
    expect(page.locator(".panel")).to_contain_text("Alle tre partene har signert. Dokumentet er ikke endret")
    page.get_by_text("Vis detaljer: Deltaker").click()
    expect(page.locator("details[open]").get_by_text("B-LTA")).to_be_visible()

    page.get_by_role("button", name="Logg ut").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Du er logget ut")


def test_the_answer_to_a_check_is_accessible(new_page: NewPage, page_site: PageSite) -> None:
    page = new_page(viewport={"width": 320, "height": 640})
    log_in(page, "Ájlin", f"/avtale/{page_site.ids['signed']}")
    page.get_by_role("button", name="Sjekk signaturene").click()
    for summary in page.locator("summary").all():
        summary.click()
    look(page, "nb")
    page.get_by_role("link", name="English").click()  # back to the page that can be asked again
    expect(page.get_by_role("button", name="Check the signatures")).to_be_visible()


def test_an_employer_is_told_whose_turn_it_is_and_can_read_first(
    new_page: NewPage, page_site: PageSite
) -> None:
    path = f"/avtale/{page_site.ids['waiting']}"
    page = new_page()
    log_in(page, "Łukasz", path)
    expect(page.get_by_role("heading", name="Nå er det din tur til å signere")).to_be_visible()
    expect(page.locator(".panel")).to_contain_text(re.compile(r"Fristen din er \d+\.\s\w+ \d{4}"))
    following = page.get_by_role("region", name="Hva skjer nå?")
    expect(following).to_contain_text("Vi venter på deg.")
    expect(following).to_contain_text("Deretter signerer veilederen i Nav.")
    expect(page.get_by_role("link", name="Åpne PDF uten signaturer")).to_be_visible()
    expect(page.get_by_role("region", name="Last ned")).to_have_count(0)
    expect(page.get_by_role("button", name="Sjekk signaturene")).to_have_count(0)
    page.get_by_role("link", name="Les som tekst").click()
    expect(page.get_by_role("note")).to_contain_text("Avtalen er ikke ferdig.")


@pytest.mark.parametrize(
    ("state", "person", "title", "text"),
    [
        ("declined", "Ájlin", "Avtalen ble ikke inngått", "Arbeidsgiveren har sagt nei til å signere."),
        ("expired", "Ájlin", "Tiden gikk ut", "Ikke alle signerte i tide."),
        ("amended", "Ájlin", "En endring venter på signaturer", "Versjon 1 gjelder til alle har signert"),
    ],
)
def test_where_it_stands_is_said_in_plain_words(
    new_page: NewPage, page_site: PageSite, state: str, person: str, title: str, text: str
) -> None:
    page = new_page()
    log_in(page, person, f"/avtale/{page_site.ids[state]}")
    expect(page.get_by_role("region", name=title)).to_contain_text(text)


def test_what_an_amendment_changes_is_shown_with_why(new_page: NewPage, page_site: PageSite) -> None:
    page = new_page()
    log_in(page, "Ájlin", f"/avtale/{page_site.ids['amended']}")
    page.get_by_role("link", name="Se alle versjoner").click()
    newest, first = page.locator(".versions > li").all()
    expect(newest.get_by_role("heading", level=2)).to_have_text("Versjon 2")
    expect(newest).to_contain_text("Venter på signaturer")
    expect(newest).to_contain_text("Etter to uker i verkstedet vet vi mer om hva som er vanskelig.")
    expect(newest.get_by_role("insertion").first).to_contain_text("rullestol")
    expect(newest.get_by_role("deletion").first).to_contain_text("Støy fra eltemaskiner")
    expect(first.get_by_role("heading", level=2)).to_contain_text("Gjelder nå")


def test_ones_own_agreements_are_listed(new_page: NewPage, page_site: PageSite) -> None:
    page = new_page()
    log_in(page, "Ájlin", "/mine")
    found = page.get_by_role("main").get_by_role("link")
    expect(page.locator(".agreements > li").first).to_contain_text("Fjordbakeriet & Kafé Sandvika AS")
    hrefs = {link.get_attribute("href") for link in found.all()}
    own = ("signed", "waiting", "declined", "expired", "amended")
    assert hrefs == {f"/avtale/{page_site.ids[state]}" for state in own}
    page.goto("/mine?fra=tull")
    expect(page.get_by_role("heading", level=1)).to_have_text("Avtalene dine")


def test_language_is_the_agreements_until_somebody_chooses(new_page: NewPage, page_site: PageSite) -> None:
    path = f"/avtale/{page_site.ids['undeclared']}"
    page = new_page()
    log_in(page, "Marit", path)
    expect(page.locator("html")).to_have_attribute("lang", "nn")  # the agreement's
    page.get_by_role("link", name="English").click()
    expect(
        page.get_by_role("heading", name="You must sign the declaration of confidentiality first")
    ).to_be_visible()
    page.goto("/verify")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.get_by_role("navigation", name="Language").locator("[aria-current]")).to_have_text("English")


def test_the_keyboard_is_enough_and_its_place_is_always_seen(new_page: NewPage, page_site: PageSite) -> None:
    path = f"/avtale/{page_site.ids['signed']}"
    page = new_page(viewport={"width": 1100, "height": 800})

    def press_to(name: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            seen = page.evaluate(
                """() => { const e = document.activeElement;
                const s = getComputedStyle(e), a = getComputedStyle(e, "::after");
                const drawn = (x) => x.outlineStyle !== "none" && parseFloat(x.outlineWidth) >= 2;
                const box = e.getBoundingClientRect();
                return [e.innerText || e.value || e.id, drawn(s) || drawn(a), box.width > 0 && box.bottom > 0]; }"""
            )
            assert seen[1] and seen[2], seen
            if name in seen[0]:
                return
        raise AssertionError(f"{name} was not reached")

    page.goto(path)
    press_to("Gå til innholdet")
    page.keyboard.press("Enter")
    press_to("Logg inn med ID-porten")  # what comes next after the skip link is in the content
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Ájlin").press("Enter")
    page.wait_for_url(f"**{path}")
    press_to("Les som tekst")
    press_to("Sjekk signaturene")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Signaturene er ekte")).to_be_visible()
    press_to("Vis detaljer")
    page.keyboard.press("Enter")
    expect(page.locator("details[open]")).to_have_count(1)
    page.get_by_role("link", name="Tilbake til avtalen").press("Enter")
    page.wait_for_url(f"**{path}")


def test_motion_and_print_follow_the_readers_wishes(new_page: NewPage) -> None:
    page = new_page(reduced_motion="reduce")
    page.goto("/")
    moves = "getComputedStyle(document.querySelector('.button')).transitionDuration"
    assert page.evaluate(moves) == "0s"
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate(moves) != "0s"
    expect(page.get_by_role("navigation", name="Språk")).to_be_visible()
    page.emulate_media(media="print")
    expect(page.get_by_role("navigation", name="Språk")).to_be_hidden()
    expect(page.get_by_role("heading", level=1)).to_be_visible()


# --- /verify ---


def tampered(pdf: bytes) -> bytes:
    """The same document with one byte of its first revision changed, where text is."""
    place = pdf.index(b"\nstream\n") + 60
    return pdf[:place] + bytes([pdf[place] ^ 1]) + pdf[place + 1 :]


@pytest.mark.parametrize("javascript", [True, False])
def test_anybody_has_a_pdf_checked(new_page: NewPage, signed_pdf: bytes, javascript: bool) -> None:
    page = new_page(java_script_enabled=javascript, viewport={"width": 320, "height": 640})
    page.goto("/")
    page.get_by_role("link", name="Sjekk en PDF").first.click()
    page.get_by_label("PDF-fil").set_input_files(
        {"name": "avtale.pdf", "mimeType": "application/pdf", "buffer": signed_pdf}
    )
    page.get_by_role("button", name="Sjekk filen").click()
    expect(page.get_by_role("heading", name="Signaturene er ekte")).to_be_visible()
    expect(page.locator(".panel")).to_contain_text(
        "har signert. Dokumentet er ikke endret etter at det ble signert."
    )
    expect(page.get_by_role("heading", name="Sjekk en annen fil")).to_be_visible()
    if javascript:
        for summary in page.locator("summary").all():
            summary.click()
        look(page, "nb")


def test_a_changed_document_an_unsigned_one_and_no_pdf_get_their_own_words(
    new_page: NewPage, signed_pdf: bytes, page_site: PageSite
) -> None:
    unsigned = (Path(__file__).parents[1] / "fixtures/signable.pdf").read_bytes()
    page = new_page(viewport={"width": 320, "height": 640})
    for body, title in (
        (tampered(signed_pdf), "Ikke stol på dette dokumentet"),
        (unsigned, "Dokumentet er ikke signert"),
        (b"PK\x03\x04", "Vi fikk ikke sjekket filen"),
    ):
        page.goto("/verify")
        page.get_by_label("PDF-fil").set_input_files(
            {"name": "x.pdf", "mimeType": "application/pdf", "buffer": body}
        )
        page.get_by_role("button", name="Sjekk filen").click()
        expect(page.get_by_role("heading", name=title)).to_be_visible()
        look(page, "nb")


def test_a_file_that_is_too_large_gets_a_plain_word_in_a_browser(new_page: NewPage) -> None:
    page = new_page()
    page.goto("/verify")
    page.get_by_label("PDF-fil").set_input_files(
        {"name": "x.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7\n" + bytes(8_000_000)}
    )
    page.get_by_role("button", name="Sjekk filen").click()
    expect(page.get_by_role("alert")).to_contain_text("Filen er for stor. Den kan være på opptil 3\xa0MB.")


def test_a_file_can_be_dropped(new_page: NewPage) -> None:
    page = new_page()
    page.goto("/verify")
    expect(page.get_by_text("Du kan også slippe filen her")).to_be_visible()
    data = page.evaluate_handle(
        """() => { const d = new DataTransfer();
        d.items.add(new File(["%PDF-"], "sluppet.pdf", {type: "application/pdf"})); return d; }"""
    )
    page.dispatch_event("form.upload", "drop", {"dataTransfer": data})
    assert page.evaluate("document.querySelector('#document').files[0].name") == "sluppet.pdf"
    expect(page.get_by_role("status")).to_have_text("Valgt fil: sluppet.pdf")
