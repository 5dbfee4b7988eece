"""The composition root: the only place where adapters are made and joined to the pipeline.

    with open_services(load_settings(), publisher=…, hand_over=…) as services:
        drive(services, receive(services, "submit", command))

Adapters are imported where they are made: `signert show` must not wait for what only a worker needs.

    stores      where things are kept, brokers, the clock     people     readers, logins, pseudonyms
    templates   templates, and documents made of them         documents  finished ones: looked at, read, packed
    keys        keys, timestamps, trust, senders              services   all of it for the pipeline
    checkup     what `signert doctor` checks
"""

from __future__ import annotations

from service.bootstrap.checkup import open_checkup
from service.bootstrap.documents import (
    compare_pages,
    open_packages,
    package_writer,
    read_structure,
)
from service.bootstrap.keys import open_trust, read_certificates, sign_command
from service.bootstrap.people import needed_pseudonyms, open_login, open_pseudonyms, open_tokens, session_keys
from service.bootstrap.services import open_services
from service.bootstrap.signals import (
    Telemetry,
    metrics_exposition,
    metrics_folder,
    open_telemetry,
    trace_ids,
)
from service.bootstrap.stores import (
    check_store,
    event_file,
    event_publisher,
    open_broker,
    open_store,
    system_clock,
)
from service.bootstrap.templates import (
    compare_templates,
    open_catalogue,
    open_checks,
    open_preview,
    open_workshop,
    page_pictures,
    shown_places,
    start_template,
)

__all__ = [
    "Telemetry",
    "check_store",
    "compare_pages",
    "compare_templates",
    "event_file",
    "event_publisher",
    "metrics_exposition",
    "metrics_folder",
    "needed_pseudonyms",
    "open_broker",
    "open_catalogue",
    "open_checks",
    "open_checkup",
    "open_login",
    "open_packages",
    "open_preview",
    "open_pseudonyms",
    "open_services",
    "open_store",
    "open_telemetry",
    "open_tokens",
    "open_trust",
    "open_workshop",
    "package_writer",
    "page_pictures",
    "read_certificates",
    "read_structure",
    "session_keys",
    "shown_places",
    "sign_command",
    "start_template",
    "system_clock",
    "trace_ids",
]
