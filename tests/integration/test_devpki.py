"""The development PKI, checked with OpenSSL: what it makes, what it answers, and how it starts and ends."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from service.adapters.devpki import DevPki, DevPkiServer, ensure
from service.background import child_environment
from service.errors import ConfigurationError

pytestmark = pytest.mark.pki

ROLES = ("participant", "employer", "adviser", "guardian", "mentor", "organiser", "decider")

OWNER = """
import sys
from pathlib import Path
from service.adapters.devpki import DevPkiServer, ensure
pki = ensure(Path(sys.argv[1]), environment="development")
server = DevPkiServer(pki, environment="development")
server.ensure_running()
print(pki.id, flush=True)
sys.stdin.read()
server.stop()
"""


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> DevPki:
    return ensure(tmp_path_factory.mktemp("pki") / "utvikling æøå" / "devpki", environment="development")


@pytest.fixture(scope="module")
def running(pki: DevPki) -> Iterator[DevPki]:
    with DevPkiServer(pki, environment="development"):
        yield pki


def openssl(*arguments: object, cwd: Path | None = None) -> str:
    done = subprocess.run(
        ["openssl", *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def ask(pki: DevPki, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", pki.port, timeout=30)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def contents(folder: Path) -> dict[str, str]:
    return {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob("*.*") if p.suffix != ".log"
    }


def start_owner(folder: Path) -> subprocess.Popen[str]:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=child_environment(),
        cwd=folder.parent.parent,
    )
    assert owner.stdout is not None
    assert owner.stdout.readline().strip(), "the owner did not start the PKI"
    return owner


def wait_until_gone(folder: Path) -> None:
    subprocess.run(["flock", "-s", "-w", "60", folder / ".devpki.alive", "true"], check=True)


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# --- what is made ----------------------------------------------------------------------------------------


def test_every_certificate_says_that_it_is_for_development(pki: DevPki) -> None:
    certificates = [x509.load_pem_x509_certificate(p.read_bytes()) for p in pki.folder.glob("*.pem")]
    assert len(certificates) == 4 + len(ROLES) + 1 + 1  # authorities, parties, seal, chain.pem's first
    for certificate in certificates:
        (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        (organisation,) = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        assert re.fullmatch(r"UTVIKLING .* \(Signert Development\)", str(name.value))
        assert organisation.value == "Signert Development – ikke gyldig"


def test_seal_names_a_synthetic_organisation(pki: DevPki) -> None:
    seal = x509.load_pem_x509_certificate((pki.folder / "seal.pem").read_bytes())
    (identifier,) = seal.subject.get_attributes_for_oid(NameOID.ORGANIZATION_IDENTIFIER)
    number = str(identifier.value).removeprefix("NTRNO-")
    weighted = sum(int(d) * w for d, w in zip(number, (3, 2, 7, 6, 5, 4, 3, 2, 1), strict=True))
    assert number.startswith("31")
    assert weighted % 11 == 0


@pytest.mark.parametrize("role", [*ROLES, "seal"])
def test_credential_uri_leads_to_key_and_chain(pki: DevPki, role: str) -> None:
    uri = urlsplit(pki.credential(role))
    assert uri.scheme == "pkcs12"
    passphrase = Path(parse_qs(uri.query)["passphrase-file"][0]).read_bytes()
    bundle = pkcs12.load_pkcs12(Path(unquote(uri.path)).read_bytes(), passphrase)
    if role == "employer":
        assert isinstance(bundle.key, rsa.RSAPrivateKey)
        assert bundle.key.key_size == 3072
    else:
        assert isinstance(bundle.key, ec.EllipticCurvePrivateKey)
        assert bundle.key.curve.name == "secp256r1"
    assert bundle.cert is not None
    issuing = x509.load_pem_x509_certificate((pki.folder / "issuing.pem").read_bytes())
    assert [c.certificate for c in bundle.additional_certs] == [issuing]
    usage = bundle.cert.certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.content_commitment
    assert not usage.key_cert_sign


def test_unknown_role_names_the_known_ones(pki: DevPki) -> None:
    with pytest.raises(ConfigurationError) as caught:
        pki.credential("king")
    assert "participant" in caught.value.remedy


def test_chain_and_revocation_lists_verify(running: DevPki, tmp_path: Path) -> None:
    for authority in ("root", "issuing"):
        status, crl = ask(running, "GET", f"/{authority}.crl")
        assert status == 200
        (tmp_path / f"{authority}.crl").write_bytes(crl)
        openssl(
            "crl", "-inform", "DER", "-in", f"{authority}.crl", "-out", f"{authority}.crl.pem", cwd=tmp_path
        )
        status, certificate = ask(running, "GET", f"/{authority}.crt")
        assert status == 200
        assert x509.load_der_x509_certificate(certificate) == x509.load_pem_x509_certificate(
            (running.folder / f"{authority}.pem").read_bytes()
        )
    crls = ("-crl_check_all", "-CRLfile", "root.crl.pem", "-CRLfile", "issuing.crl.pem")
    leaves = [running.folder / f"{name}.pem" for name in (*ROLES, "seal", "tsa", "ocsp")]
    chain = ("-x509_strict", "-CAfile", running.root_pem, "-untrusted", running.folder / "issuing.pem")
    answer = openssl("verify", *chain, *crls, *leaves, cwd=tmp_path)
    assert answer.count(": OK") == len(leaves)


def test_only_the_owner_can_read_the_keys(pki: DevPki) -> None:
    assert stat.S_IMODE(pki.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(p.stat().st_mode) for p in pki.folder.glob("*.*")} == {0o600}


def test_same_bytes_for_every_process(pki: DevPki) -> None:
    before = contents(pki.folder)
    code = "import sys; from pathlib import Path; from service.adapters.devpki import ensure; "
    code += "print(ensure(Path(sys.argv[1]), environment='development').seal)"
    printed = subprocess.run(
        [sys.executable, "-c", code, str(pki.folder)],
        capture_output=True,
        check=True,
        text=True,
        env=child_environment(),
    ).stdout
    assert printed.strip() == pki.seal
    assert contents(pki.folder) == before
    assert ensure(pki.folder, environment="development") == pki


# --- how it is made --------------------------------------------------------------------------------------


def test_racing_processes_get_one_pki(tmp_path: Path) -> None:
    owners = [
        subprocess.Popen(
            [sys.executable, "-c", OWNER, str(tmp_path / "devpki")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=child_environment(),
        )
        for _ in range(4)
    ]
    marks = [owner.communicate("")[0].strip() for owner in owners]
    assert [owner.returncode for owner in owners] == [0] * 4
    assert set(marks) == {ensure(tmp_path / "devpki", environment="development").id}


def test_half_made_folder_is_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "devpki"
    maker = subprocess.Popen(
        [sys.executable, "-m", "service.adapters.devpki_create", str(folder), "development"],
        env=child_environment(),
        stderr=subprocess.DEVNULL,
    )
    maker.kill()
    maker.wait()
    (folder / ".new-left").mkdir(parents=True, exist_ok=True)
    (folder / ".new-left" / "root.key").write_bytes(b"half a key")
    (folder / "root.pem").write_bytes(b"-----BEGIN CERT")
    (folder / "passphrase").write_bytes(b"old")
    pki = ensure(folder, environment="development")
    openssl("verify", "-CAfile", pki.root_pem, "-untrusted", folder / "issuing.pem", folder / "seal.pem")
    openssl("pkcs12", "-in", folder / "seal.p12", "-passin", f"file:{folder / 'passphrase'}", "-noout")
    assert not list(folder.glob(".new-*"))


def test_port_can_be_chosen_and_then_stays(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pki = ensure(tmp_path / "devpki", environment="development", port=port)
    assert pki.port == port
    assert pki.tsa_url == f"http://127.0.0.1:{port}/tsa"
    with pytest.raises(ConfigurationError, match="was made for port"):
        ensure(tmp_path / "devpki", environment="development", port=port + 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "another release"),
        ({"valid_until": "2020-01-01T00:00:00+00:00"}, "expired"),
        ({"files": {}}, "damaged"),
        ({"files": {"seal": "seal.p12", "participant": "gone.p12"}}, "lacks gone.p12"),
    ],
)
def test_unusable_folder_names_the_way_out(
    pki: DevPki, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    folder = tmp_path / "devpki"
    folder.mkdir(mode=0o700)
    for path in pki.folder.glob("*.*"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "passphrase").write_bytes((pki.folder / "passphrase").read_bytes())
    manifest = json.loads((folder / "devpki.json").read_bytes())
    (folder / "devpki.json").write_text(json.dumps(manifest | change))
    with pytest.raises(ConfigurationError, match=message) as caught:
        ensure(folder, environment="development")
    assert f"Move {folder} away" in caught.value.remedy


def test_refuses_production(pki: DevPki, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="production"):
        ensure(tmp_path / "devpki", environment="production")
    with pytest.raises(ConfigurationError, match="production"):
        ensure(pki.folder, environment="Production")
    with pytest.raises(ConfigurationError, match="production"):
        DevPkiServer(pki, environment="production")
    assert not (tmp_path / "devpki").exists()


@pytest.mark.parametrize("module", ["devpki_create", "devpki_server"])
def test_processes_refuse_production_themselves(tmp_path: Path, module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"service.adapters.{module}", str(tmp_path), "production"],
        capture_output=True,
        text=True,
        env=child_environment(),
        check=False,
    )
    assert done.returncode != 0
    assert "does not run in production" in done.stderr
    assert not list(tmp_path.iterdir())


# --- what it answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("certificates", [True, False])
def test_time_stamp_verifies(running: DevPki, tmp_path: Path, digest: str, certificates: bool) -> None:
    (tmp_path / "data").write_bytes(b"time-stamp me")
    query = [
        "ts",
        "-query",
        "-data",
        "data",
        f"-{digest}",
        "-out",
        "query",
        *(["-cert"] if certificates else []),
    ]
    openssl(*query, cwd=tmp_path)
    status, reply = ask(running, "POST", "/tsa", (tmp_path / "query").read_bytes())
    assert status == 200
    (tmp_path / "reply").write_bytes(reply)
    untrusted = [] if certificates else ["-untrusted", "unsent.pem"]
    unsent = (running.folder / "tsa.pem").read_bytes() + (running.folder / "issuing.pem").read_bytes()
    (tmp_path / "unsent.pem").write_bytes(unsent)
    check = ["ts", "-verify", "-queryfile", "query", "-in", "reply", "-CAfile", running.root_pem, *untrusted]
    assert "Verification: OK" in openssl(*check, cwd=tmp_path)
    asked = openssl("ts", "-query", "-in", "query", "-text", cwd=tmp_path)
    given = openssl("ts", "-reply", "-in", "reply", "-text", cwd=tmp_path)
    nonce = re.compile(r"Nonce: (0x[0-9A-F]+)")
    assert nonce.findall(asked) == nonce.findall(given) != []
    assert "Accuracy: 0x01 seconds" in given
    token = openssl("ts", "-reply", "-in", "reply", "-token_out", "-out", "token", cwd=tmp_path)
    token = openssl("cms", "-cmsout", "-print", "-inform", "DER", "-in", "token", cwd=tmp_path)
    assert "id-smime-aa-signingCertificateV2" in token
    assert (
        "UTVIKLING Tidsstempel" in token.partition("signerInfos")[0].partition("certificates")[2]
    ) == certificates


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["-sha1"], "unrecognized or unsupported algorithm"),
        (["-sha256", "-tspolicy", "1.2.3.4"], "requested TSA policy is not supported"),
    ],
)
def test_time_stamp_refusals_say_why(
    running: DevPki, tmp_path: Path, options: list[str], reason: str
) -> None:
    (tmp_path / "data").write_bytes(b"x")
    openssl("ts", "-query", "-data", "data", *options, "-out", "query", cwd=tmp_path)
    (tmp_path / "reply").write_bytes(ask(running, "POST", "/tsa", (tmp_path / "query").read_bytes())[1])
    given = openssl("ts", "-reply", "-in", "reply", "-text", cwd=tmp_path)
    assert "Status: Rejected" in given
    assert reason in given


@pytest.mark.parametrize("path", ["/tsa", "/ocsp"])
@pytest.mark.parametrize("body", [b"", b"\x30\x03\x02\x01\x01", b"garbage" * 100])
def test_garbage_is_answered_and_the_server_lives(running: DevPki, path: str, body: bytes) -> None:
    status, answer = ask(running, "POST", path, body)
    assert status == 200
    assert len(answer) < 64
    assert ask(running, "POST", path, b"x" * 70000)[0] == 413
    assert ask(running, "GET", "/nothing")[0] == 404
    assert ask(running, "GET", "/root.crl")[0] == 200


@pytest.mark.parametrize("digest", ["sha1", "sha256"])
def test_ocsp_knows_its_own_certificates(running: DevPki, digest: str) -> None:
    known = [running.folder / f"{name}.pem" for name in (*ROLES, "seal", "tsa")]
    query = ["ocsp", f"-{digest}", "-issuer", running.folder / "issuing.pem", "-CAfile", running.root_pem]
    for path in known:
        query += ["-cert", path]
    query += ["-serial", "0x1234", "-url", f"http://127.0.0.1:{running.port}/ocsp"]
    answer = openssl(*query)
    assert "Response verify OK" in answer
    assert "WARNING" not in answer  # the nonce came back
    assert [line for line in answer.splitlines() if line.endswith(": good")] == [f"{p}: good" for p in known]
    assert "0x1234: unknown" in answer


def test_ocsp_over_get(running: DevPki, tmp_path: Path) -> None:
    folder = running.folder
    certificate = ("-issuer", folder / "issuing.pem", "-cert", folder / "seal.pem")
    openssl("ocsp", *certificate, "-no_nonce", "-reqout", "query", cwd=tmp_path)
    query = quote(base64.b64encode((tmp_path / "query").read_bytes()).decode(), safe="")
    status, answer = ask(running, "GET", f"/ocsp/{query}")
    assert status == 200
    (tmp_path / "answer").write_bytes(answer)
    printed = openssl("ocsp", *certificate, "-respin", "answer", "-CAfile", running.root_pem, cwd=tmp_path)
    assert f"{folder / 'seal.pem'}: good" in printed


# --- how the server lives --------------------------------------------------------------------------------


def test_server_is_shared_and_ends_with_its_last_user(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "devpki"
    first, second = start_owner(folder), start_owner(folder)
    pki = ensure(folder, environment="development")
    own = DevPkiServer(pki, environment="development")
    own.ensure_running()
    assert first.communicate("")[0] == ""
    assert ask(pki, "GET", "/root.crl")[0] == 200
    second.send_signal(signal.SIGKILL)
    second.communicate()
    own.ensure_running()
    assert ask(pki, "GET", "/root.crl")[0] == 200
    own.stop()
    assert not is_listening(pki.port)
    own.ensure_running()
    assert ask(pki, "GET", "/root.crl")[0] == 200
    own.stop()
    own.stop()
    assert not is_listening(pki.port)


def test_server_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "devpki"
    owner = start_owner(folder)
    pki = ensure(folder, environment="development")
    assert is_listening(pki.port)
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    wait_until_gone(folder)
    assert not is_listening(pki.port)


def test_server_that_died_is_started_again(tmp_path: Path) -> None:
    pki = ensure(tmp_path / "devpki", environment="development")
    with DevPkiServer(pki, environment="development") as running:
        server = DevPkiServer(pki, environment="development")
        pid = int((pki.folder / ".devpki.alive").read_text())
        os.kill(pid, signal.SIGKILL)
        wait_until_gone(pki.folder)
        server.ensure_running()
        assert ask(running, "GET", "/root.crl")[0] == 200
        server.stop()


def test_port_taken_by_another_names_the_way_out(tmp_path: Path) -> None:
    pki = ensure(tmp_path / "devpki", environment="development")
    with socket.create_server(("127.0.0.1", pki.port)):
        server = DevPkiServer(pki, environment="development")
        with pytest.raises(ConfigurationError, match=f"127.0.0.1:{pki.port}") as caught:
            server.ensure_running()
        assert "Stop the program that listens there" in caught.value.remedy
        assert str(pki.folder) in caught.value.remedy
    with server:
        assert ask(pki, "GET", "/root.crl")[0] == 200
