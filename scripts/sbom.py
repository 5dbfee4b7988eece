"""Write what an image, or this machine, has of others' software: a CycloneDX 1.6 bill of materials (JSON).

    scripts/sbom.py --name signert --venv .venv -o var/sbom/signert.cdx.json --only-for packages.txt

Debian packages come from dpkg, wheels from the metadata that pip left. Licences are told as their packages tell them:
an SPDX identifier or expression where it is one, else the name as it stands. Hashes are those of the files that were
installed: of a `.deb` where apt still has the index it came from, of a wheel where pip's report (`installed.json` in
the environment) says so. What is not known is left out.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.message import Message
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, Final

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, License
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

_FIELDS: Final = (
    "Package",
    "Version",
    "Architecture",
    "source:Package",
    "source:Version",
    "db:Status-Abbrev",
)
_LICENCES: Final = LicenseFactory()
_DEBIAN_NAMES: Final = {
    # Debian's short names (copyright-format 1.0) that mean an SPDX licence, where the two are spelt differently.
    "expat": "MIT", "gpl-1": "GPL-1.0-only", "gpl-1+": "GPL-1.0-or-later", "gpl-2": "GPL-2.0-only",
    "gpl-2+": "GPL-2.0-or-later", "gpl-3": "GPL-3.0-only", "gpl-3+": "GPL-3.0-or-later",
    "lgpl-2": "LGPL-2.0-only", "lgpl-2+": "LGPL-2.0-or-later", "lgpl-2.1": "LGPL-2.1-only",
    "lgpl-2.1+": "LGPL-2.1-or-later", "lgpl-3": "LGPL-3.0-only", "lgpl-3+": "LGPL-3.0-or-later",
    "bsd-2-clause": "BSD-2-Clause", "bsd-3-clause": "BSD-3-Clause", "apache-2.0": "Apache-2.0", "mpl-2.0": "MPL-2.0",
    "mpl-1.1": "MPL-1.1", "isc": "ISC", "zlib": "Zlib", "cc0-1.0": "CC0-1.0", "cc0": "CC0-1.0",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--name", required=True, help="what the bill is of")
    parser.add_argument("--venv", type=Path, required=True, help="the environment with the wheels")
    parser.add_argument(
        "--only-for", type=Path, help="only these Debian packages, one a line, and what they need"
    )
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    wanted = given.only_for.read_text().split() if given.only_for else None
    bom = bill(given.name, [*debian_components(wanted), *wheel_components(given.venv)])
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(JsonV1Dot6(bom).output_as_string(indent=1) + "\n", encoding="utf-8")
    print(f"{given.output}: {len(bom.components)} components", file=sys.stderr)


def bill(name: str, components: Iterable[Component]) -> Bom:
    found = {str(c.purl): c for c in components}
    own = found.pop(next((p for p in found if p.startswith("pkg:pypi/signert@")), ""), None)
    about = Component(
        name=name,
        version=own.version if own else None,
        type=ComponentType.CONTAINER if name.startswith("signert-") else ComponentType.APPLICATION,
        licenses=[DisjunctiveLicense(id="MIT")],
    )
    bom = Bom(components=found.values(), metadata=BomMetaData(component=about, timestamp=datetime.now(UTC)))
    bom.register_dependency(about, found.values())
    return bom


# --- Debian ------------------------------------------------------------------------------------------------


def debian_components(wanted: Iterable[str] | None = None) -> Iterator[Component]:
    """The Debian packages that are installed; with `wanted`, these and what they depend on."""
    installed = _installed()
    names = set(installed) if wanted is None else _closure(wanted)
    hashes = _deb_hashes(sorted(names & set(installed)))
    distro = _distro()
    for name in sorted(names & set(installed)):
        row = installed[name]
        qualifiers = {"arch": row["Architecture"], "distro": distro}
        if row["source:Package"] != name or row["source:Version"] != row["Version"]:
            qualifiers["upstream"] = f"{row['source:Package']}@{row['source:Version']}"
        purl = PackageURL("deb", "debian", name, row["Version"], qualifiers)
        sha256 = hashes.get((name, row["Version"]))
        yield Component(
            name=name,
            version=row["Version"],
            type=ComponentType.LIBRARY,
            purl=purl,
            bom_ref=str(purl),
            licenses=_debian_licences(Path("/usr/share/doc") / name / "copyright"),
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)] if sha256 else (),
        )


def _installed() -> dict[str, Mapping[str, str]]:
    form = "\t".join(f"${{{field}}}" for field in _FIELDS) + "\n"
    told = _run("dpkg-query", "-W", "-f", form)
    rows = (dict(zip(_FIELDS, line.split("\t"), strict=True)) for line in told.splitlines())
    return {row["Package"]: row for row in rows if row["db:Status-Abbrev"].startswith("ii")}


def _closure(wanted: Iterable[str]) -> set[str]:
    told = _run(
        "apt-cache", "depends", "--recurse", "--installed", "--no-recommends", "--no-suggests", "--no-conflicts",
        "--no-breaks", "--no-replaces", "--no-enhances", *wanted,
    )  # fmt: skip
    return {line.partition(":")[0] for line in told.splitlines() if line and line[0] not in " |<"}


def _deb_hashes(names: list[str]) -> dict[tuple[str, str], str]:
    """SHA-256 of the `.deb` files by package and version, of those that apt knows."""
    if not names:
        return {}
    found = {}
    for stanza in _run("apt-cache", "show", *names, may_fail=True).split("\n\n"):
        fields = dict(re.findall(r"(?m)^(Package|Version|SHA256): (\S+)$", stanza))
        if len(fields) == 3:
            found[fields["Package"], fields["Version"]] = fields["SHA256"]
    return found


def _debian_licences(copyright_file: Path) -> list[DisjunctiveLicense]:
    """The licences of a machine-readable copyright file, each once; none where it is prose."""
    try:
        text = copyright_file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    if not text.lstrip().lower().startswith("format:"):
        return []
    names = dict.fromkeys(
        part.strip() for line in re.findall(r"(?mi)^License:[ \t]*(\S.*)$", text)
        for part in re.split(r"(?i),?\s+(?:and|or)\s+|,\s*(?!\S*\bexception\b)", line) if part.strip()
    )  # fmt: skip
    ids = {_DEBIAN_NAMES.get(name.lower(), name): None for name in names}
    return [licence for name in ids if isinstance(licence := _licence(name), DisjunctiveLicense)]


def _distro() -> str:
    os_release = dict(
        line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line
    )
    return f"debian-{os_release['VERSION_ID'].strip(chr(34))}"


# --- wheels --------------------------------------------------------------------------------------------------


def wheel_components(venv: Path) -> Iterator[Component]:
    """The wheels in an environment."""
    (packages,) = venv.glob("lib/python3.*/site-packages")
    hashes = dict(_reported(venv / "installed.json"))
    for found in sorted(distributions(path=[str(packages)]), key=lambda d: _normal(d.name)):
        name = _normal(found.name)
        purl = PackageURL("pypi", None, name, found.version)
        sha256 = hashes.get((name, found.version))
        yield Component(
            name=name,
            version=found.version,
            type=ComponentType.LIBRARY,
            purl=purl,
            bom_ref=str(purl),
            description=found.metadata.get("Summary"),
            licenses=_wheel_licences(found),
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)] if sha256 else (),
        )


def _reported(report: Path) -> Iterator[tuple[tuple[str, str], str]]:
    """What pip's installation report says that was installed."""
    if not report.exists():
        return
    for item in json.loads(report.read_bytes())["install"]:
        about: Mapping[str, Any] = item["metadata"]
        sha256 = item["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256")
        if sha256:
            yield (_normal(about["name"]), about["version"]), sha256


def _wheel_licences(found: Distribution) -> list[License]:
    metadata = found.metadata
    assert isinstance(metadata, Message)
    if expression := metadata.get("License-Expression"):
        return [_licence(expression)]
    classified = [
        name.rpartition(" :: ")[2]
        for name in metadata.get_all("Classifier", [])
        if name.startswith("License :: ") and not name.endswith("OSI Approved")
    ]
    told = metadata.get("License", "").strip()
    if told and "\n" not in told and len(told) <= 100:  # some put the whole text there
        return [_licence(told)]
    return [_LICENCES.make_with_name(name) for name in classified]


def _licence(name: str) -> License:
    return _LICENCES.make_from_string(name)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _run(*command: str, may_fail: bool = False) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
    )
    if done.returncode and not may_fail:
        raise SystemExit(f"{command[0]}: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    main()
