"""Keys in an HSM: SoftHSM, spoken to by PKCS#11 as any other HSM would be."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pkcs11
import pytest
from asn1crypto import x509

from signing import Credential, CredentialError, Mechanism, open_credential, validate
from signing.algorithms import verify_raw
from signing.errors import CredentialUnavailable
from tests.pki import TestPki
from tests.signing_documents import Signers
from tests.softhsm import MODULE, PIN, SoftHsm, restart, softhsm

pytestmark = pytest.mark.pki

KEYS = {
    "seal": Mechanism.ECDSA_SHA256,
    "adviser": Mechanism.ECDSA_SHA384,
    "employer": Mechanism.RSA_PSS_SHA256,
}
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def hsm(pki: TestPki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftHsm]:
    def key(label: str) -> Path:
        return pki.directory / f"{label}.pem"

    with softhsm(tmp_path_factory.mktemp("softhsm")) as hsm:
        for label in (*KEYS, "small", "curve"):
            hsm.import_key(label, key(label), pki.certificate_pem(label))
        hsm.import_certificate("issuer", pki.certificate_pem("interm"), b"\xca\x01")
        hsm.import_key("without certificate", key("participant"), None)
        hsm.import_key("another's", key("revoked"), pki.certificate_pem("stranger"))
        hsm.import_key("another kind", key("crl-only"), pki.certificate_pem("employer"))
        renewed = hsm.import_key("renewed", key("tsa"), pki.certificate_pem("tsa"))
        hsm.import_certificate("renewed", pki.certificate_pem("seal"), renewed)
        hsm.import_key("twice", key("seal"), pki.certificate_pem("seal"))
        hsm.import_key("twice", key("adviser"), pki.certificate_pem("adviser"))
        hsm.import_key("each time", key("seal"), pki.certificate_pem("seal"), "--always-auth")
        hsm.import_key("not for signing", key("ocsp"), pki.certificate_pem("ocsp"))
        hsm.forbid_signing("not for signing")
        yield hsm


def signs(credential: Credential, data: bytes = b"bytes to sign") -> bool:
    certificate = x509.Certificate.load(credential.identity.certificate)
    verify_raw(certificate, credential.identity.mechanism, credential.sign(data), data)
    return True


def refusal(uri: str) -> CredentialError:
    """The error that this address is answered with; it gives nothing away."""
    with pytest.raises(CredentialError) as caught:
        open_credential(uri)
    error = caught.value
    shown = f"{error.message} {error.remedy} {error.__cause__} {error.__dict__}"
    for secret in (PIN, "hunter2", "Arbeids", "Bø Snekkerverksted", "Test Issuing"):
        assert secret not in shown
    return error


# What is signed


def test_documents_signed_by_the_hsm_are_valid(hsm: SoftHsm, fielded: bytes, signers: Signers) -> None:
    by_hsm = {label: open_credential(hsm.uri(label)) for label in KEYS}
    people = dataclasses.replace(signers, credential=by_hsm.__getitem__)
    document = fielded
    for field in KEYS:
        document = people.sign(document, field)
    report = validate(signers.augment(document), signers.trust)
    assert report.indication == "TOTAL-PASSED"
    assert [(s.signer, s.algorithm, s.level) for s in report.signatures] == [
        ("Arbeids- og velferdsetaten (test)", "ECDSA P-256, SHA-256", "B-LTA"),
        ("Ingrid Måsø", "ECDSA P-384, SHA-384", "B-LTA"),
        ("Bø Snekkerverksted AS", "RSA-3072 PSS, SHA-256", "B-LTA"),
    ]


@pytest.mark.parametrize("label", KEYS)
def test_identity_comes_from_the_token(hsm: SoftHsm, label: str, signers: Signers) -> None:
    credential = open_credential(hsm.uri(label))
    in_file = signers.credential(label).identity
    assert credential.identity.mechanism is KEYS[label]
    assert credential.identity.certificate == in_file.certificate
    assert credential.identity.chain == in_file.chain[:1]  # the intermediate; the root is not in the token
    assert signs(credential)
    shown = f"{credential!r} {vars(credential)}"
    assert PIN not in shown
    assert credential.identity.subject not in repr(credential)


def test_key_by_its_id(hsm: SoftHsm) -> None:
    identifier = "".join(f"%{byte:02X}" for byte in hsm.ids["seal"])
    uri = hsm.uri("seal").replace("object=seal", f"type=private;id={identifier}")
    assert signs(open_credential(uri))
    assert signs(open_credential(hsm.uri("seal").replace("object=seal", f"object=seal;id={identifier}")))


def test_certificate_from_a_file(hsm: SoftHsm, pki: TestPki, tmp_path: Path) -> None:
    chain, der = tmp_path / "chain of certificates.pem", tmp_path / "one.der"
    chain.write_bytes(
        pki.certificate_pem("participant").read_bytes() + pki.certificate_pem("interm").read_bytes()
    )
    credential = open_credential(hsm.uri("without certificate", certificate=str(chain)))
    assert credential.identity.subject == "Łucja Čáhppes Ødegård"
    assert len(credential.identity.chain) == 1
    assert signs(credential)
    der.write_bytes(credential.identity.certificate)
    # The intermediate is found in the token.
    assert open_credential(hsm.uri("without certificate", certificate=str(der))).identity.chain
    der.write_bytes(b"nonsense")
    assert "cannot be read" in refusal(hsm.uri("without certificate", certificate=str(der))).message
    assert "cannot be read" in refusal(hsm.uri("seal", certificate="/no/such/file.pem")).message


def test_key_that_wants_the_pin_each_time(hsm: SoftHsm) -> None:
    credential = open_credential(hsm.uri("each time"))
    assert signs(credential)
    assert signs(credential)


def test_pin_file_as_uri(hsm: SoftHsm) -> None:
    for source in (f"file:{hsm.pin_file}", f"file://{hsm.pin_file}"):
        assert signs(open_credential(hsm.uri("seal", **{"pin-source": source})))


# What is refused


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("small", "the RSA key has 2048 bits"),
        ("curve", "secp521r1"),
        ("another's", 'the certificate is not for the key "another\'s"'),
        ("another kind", "the certificate is not for the key 'another kind'"),
        ("without certificate", "the token holds no certificate for"),
        ("renewed", "there are 2 certificates for the key 'renewed'"),
        ("twice", "there are 2 private keys that could be the key 'twice'"),
        ("not for signing", "the key 'not for signing' in the token 'Signert test' may not sign"),
        ("absent", "the key 'absent' in the token 'Signert test' is not there"),
    ],
)
def test_keys_that_are_refused(hsm: SoftHsm, label: str, words: str) -> None:
    error = refusal(hsm.uri(label))
    assert words in error.message
    assert not error.retryable


def test_certificate_file_of_another_key(hsm: SoftHsm, pki: TestPki) -> None:
    uri = hsm.uri("without certificate", certificate=str(pki.certificate_pem("seal")))
    assert "the certificate is not for the key 'without certificate'" in refusal(uri).message


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("pkcs11:token=x", "names the key"),
        ("pkcs11:", "names the key"),
        ("pkcs11:token=x;object=y", "module-path="),
        ("pkcs11:object=y?module-path=/m&pin-value=hunter2", "does not hold the PIN"),
        ("pkcs11:object=y;pin-value=hunter2?module-path=/m", "does not hold the PIN"),
        ("pkcs11:object=y?module-path=/m&pin=hunter2", "'pin'"),
        ("pkcs11:object=y?module-path=/m&pin-source=hunter2", "whole path"),
        ("pkcs11:object=y?module-path=/m&pin-source=|hunter2", "whole path"),
        ("pkcs11:object=y?module-path=/m&pin-source=file://host/hunter2", "whole path"),
        ("pkcs11:object=y?module-path=softhsm2", "whole path"),
        ("pkcs11:object=y?module-name=softhsm2", "'module-name'"),
        ("pkcs11:object=y;object=z?module-path=/m", "'object' stands twice"),
        ("pkcs11:object=y;type=public?module-path=/m", "private key"),
        ("pkcs11:object=y;slot-id=one?module-path=/m", "slot-id"),
        ("pkcs11:object=y;library-version=3?module-path=/m", "'library-version'"),
        ("pkcs11:object=y;seal?module-path=/m", "without ="),
        ("pkcs11:object=?module-path=/m", "'object'"),
        ("pkcs11:object=%y?module-path=/m", "percent"),
        ("pkcs11:object=%ff?module-path=/m", "UTF-8"),
        ("pkcs11:object=a%00b?module-path=/m", "control characters"),
        ("pkcs11://host/object=y?module-path=/m", "host"),
        ("pkcs11:object=y?module-path=/m#hunter2", "fragment"),
        ("pkcs11:object=y?module-path=/no/such/module.so", "/no/such/module.so is not a PKCS#11 library"),
        (f"pkcs11:object=y?module-path={__file__}", "is not a PKCS#11 library"),
        ("pkcs11:object=y?module-path=/lib/x86_64-linux-gnu/libm.so.6", "is not a PKCS#11 library"),
    ],
)
def test_addresses_that_do_not_work(uri: str, words: str) -> None:
    error = refusal(uri)
    assert words in f"{error.message} {error.remedy}"
    assert not error.retryable


def test_a_plus_is_a_plus(hsm: SoftHsm) -> None:
    assert "the key 'a+b c' in" in refusal(hsm.uri("a+b c").replace("%2B", "+")).message


def test_token_must_be_the_one(hsm: SoftHsm) -> None:
    def address(attributes: str) -> str:
        return hsm.uri("seal").replace("token=Signert%20test", attributes)

    missing = refusal(address("token=Elsewhere"))
    assert missing.message == "the token 'Elsewhere' is not in any slot of libsofthsm2.so"
    assert missing.retryable  # as when an HSM is down
    token = next(s.get_token() for s in pkcs11.lib(str(MODULE.resolve())).get_slots() if s.get_token().label)
    serial, slot = token.serial.decode(), token.slot.slot_id
    exact = f"serial={serial};slot-id={slot};model=SoftHSM%20v2;manufacturer=SoftHSM%20project"
    assert signs(open_credential(address(exact)))
    assert signs(open_credential(address("type=private")))  # there is but one
    assert refusal(address(f"serial={serial};model=Other")).retryable
    assert refusal(address(f"serial={serial};slot-id={slot + 1}")).retryable


# The PIN


def pin_is_low(hsm: SoftHsm) -> bool:
    """What the token itself says: whether a wrong PIN was given since the last right one."""
    tokens = (slot.get_token() for slot in pkcs11.lib(str(MODULE.resolve())).get_slots(True))
    (token,) = (token for token in tokens if token.label == hsm.token)
    return pkcs11.TokenFlag.USER_PIN_COUNT_LOW in token.flags


def test_wrong_pin_is_given_once(hsm: SoftHsm, tmp_path: Path) -> None:
    other = open_credential(hsm.uri("seal"))
    file = tmp_path / "wrong pin"
    file.write_text("hunter2\n")
    uri = hsm.uri("adviser", **{"pin-source": str(file)})
    first = refusal(uri)
    assert first.message == (
        "the token 'Signert test' refused the PIN (PinIncorrect); it is not tried again until the PIN file changes"
    )
    assert not first.retryable
    assert pin_is_low(hsm)
    assert signs(other)  # logs in anew, with the right one
    assert not pin_is_low(hsm)
    for _ in range(3):
        assert "refused the PIN before" in refusal(uri).message
    assert not pin_is_low(hsm)
    file.write_text(PIN)
    assert signs(open_credential(uri))


def test_wrong_pin_of_a_key_that_wants_it_each_time(hsm: SoftHsm, tmp_path: Path) -> None:
    file = tmp_path / "pin"
    file.write_text(PIN)
    credential = open_credential(hsm.uri("each time", **{"pin-source": str(file)}))
    file.write_text("hunter3")
    for words in ("refused the PIN (PinIncorrect)", "refused the PIN before"):
        with pytest.raises(CredentialError) as caught:
            credential.sign(b"")
        assert words in caught.value.message
    file.write_text(PIN)
    assert signs(credential)
    assert not pin_is_low(hsm)


def test_pin_files_that_do_not_work(hsm: SoftHsm, tmp_path: Path) -> None:
    file = tmp_path / "pin"
    uri = hsm.uri("seal", **{"pin-source": str(file)})
    assert refusal(uri).message == f"the PIN file {file} cannot be read"
    file.write_bytes(b"\xff\xfe")
    assert refusal(uri).message == f"the PIN file {file} cannot be read"
    file.write_text("\n")
    assert refusal(uri).message == f"the PIN file {file} is empty"
    without = hsm.uri("seal").split("&", maxsplit=1)[0]
    assert refusal(without).message == "the token 'Signert test' wants a PIN"
    assert not pin_is_low(hsm)


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        (pkcs11.TokenFlag.USER_PIN_FINAL_TRY, "locks with the next wrong PIN; it is not tried by machine"),
        (pkcs11.TokenFlag.USER_PIN_LOCKED, "the PIN of the token 'Signert test' is locked"),
    ],
)
def test_last_try_is_left_to_people(hsm: SoftHsm, flag: pkcs11.TokenFlag, words: str) -> None:
    from signing.credentials.pkcs11.address import Pkcs11Address
    from signing.credentials.pkcs11.module import check_tries

    address = Pkcs11Address(MODULE, token=hsm.token, label="seal")
    check_tries(pkcs11.TokenFlag.USER_PIN_COUNT_LOW, address)
    with pytest.raises(CredentialError) as caught:
        check_tries(flag | pkcs11.TokenFlag.TOKEN_INITIALIZED, address)
    assert words in caught.value.message


# Loss


@pytest.fixture
def module(hsm: SoftHsm) -> ctypes.CDLL:
    """The same library by its C functions, for what other code in the process may do."""
    return ctypes.CDLL(str(MODULE))


def slot_of(hsm: SoftHsm) -> int:
    slots = pkcs11.lib(str(MODULE.resolve())).get_slots(True)
    return next(slot.slot_id for slot in slots if slot.get_token().label == hsm.token)


def close_all(hsm: SoftHsm, module: ctypes.CDLL) -> None:
    assert module.C_CloseAllSessions(ctypes.c_ulong(slot_of(hsm))) == 0


def log_out(hsm: SoftHsm, module: ctypes.CDLL) -> None:
    session = ctypes.c_ulong()
    serial = ctypes.c_ulong(4)
    assert module.C_OpenSession(ctypes.c_ulong(slot_of(hsm)), serial, None, None, ctypes.byref(session)) == 0
    assert module.C_Logout(session) == 0


def start_again(hsm: SoftHsm, module: ctypes.CDLL) -> None:
    restart()


def end(hsm: SoftHsm, module: ctypes.CDLL) -> None:
    pkcs11.lib(str(MODULE.resolve())).finalize()


def end_unseen(hsm: SoftHsm, module: ctypes.CDLL) -> None:
    assert module.C_Finalize(None) == 0


@pytest.mark.parametrize("lose", [close_all, log_out, start_again, end, end_unseen])
def test_lost_session_is_opened_again(
    hsm: SoftHsm, module: ctypes.CDLL, lose: Callable[[SoftHsm, ctypes.CDLL], None]
) -> None:
    one, two = open_credential(hsm.uri("seal")), open_credential(hsm.uri("employer"))
    assert signs(one)
    assert signs(two)
    for _ in range(3):
        lose(hsm, module)
        assert signs(one)
        assert signs(two)
    lose(hsm, module)
    assert signs(open_credential(hsm.uri("adviser")))  # a new key on the session that is gone


def test_hsm_unplugged_and_back(hsm: SoftHsm) -> None:
    credential = open_credential(hsm.uri("seal"))
    away = hsm.tokens.rename(hsm.directory / "away")
    hsm.tokens.mkdir()
    try:
        for _ in range(2):
            with pytest.raises(CredentialUnavailable) as caught:
                credential.sign(b"data")
            assert caught.value.message == "the token 'Signert test' is not in any slot of libsofthsm2.so"
            assert caught.value.code == "credential_unavailable"
            assert caught.value.retryable
    finally:
        for left in hsm.tokens.iterdir():
            left.rmdir()
        hsm.tokens.rmdir()
        away.rename(hsm.tokens)
    assert signs(credential)


def test_module_that_cannot_start_for_a_while(hsm: SoftHsm) -> None:
    credential = open_credential(hsm.uri("seal"))
    moved = hsm.tokens.rename(hsm.directory / "away")  # SoftHSM does not start without its folder
    try:
        for _ in range(2):
            with pytest.raises(CredentialUnavailable) as caught:
                credential.sign(b"data")
            assert "cannot sign with the key 'seal' in the token 'Signert test' now" in caught.value.message
    finally:
        moved.rename(hsm.tokens)
    assert signs(credential)


def test_key_deleted(hsm: SoftHsm, pki: TestPki) -> None:
    hsm.import_key("to be deleted", pki.directory / "stranger.pem", pki.certificate_pem("stranger"))
    credential = open_credential(hsm.uri("to be deleted"))
    hsm.delete_key("to be deleted")
    with pytest.raises(
        CredentialError, match="the key 'to be deleted' in the token 'Signert test' is not there"
    ):
        credential.sign(b"data")


@pytest.mark.parametrize(
    ("name", "retryable", "words"),
    [
        ("SessionCount", True, "the token 'Signert test' has no session free"),
        (
            "DeviceMemory",
            True,
            "cannot sign with the key 'seal' in the token 'Signert test' now (DeviceMemory)",
        ),
        ("DeviceRemoved", True, "(DeviceRemoved)"),
        ("DeviceError", True, "(DeviceError)"),
        ("TokenNotPresent", True, "the token 'Signert test' is not in any slot of libsofthsm2.so"),
        ("UserNotLoggedIn", True, "(UserNotLoggedIn)"),
        ("PinIncorrect", False, "refused the PIN (PinIncorrect)"),
        ("PinLocked", False, "is locked"),
        (
            "MechanismInvalid",
            False,
            "the HSM refused the key 'seal' in the token 'Signert test' (MechanismInvalid)",
        ),
    ],
)
def test_what_return_values_mean(name: str, retryable: bool, words: str) -> None:
    from signing.credentials.pkcs11.address import Pkcs11Address
    from signing.credentials.pkcs11.module import explain

    error = explain(getattr(pkcs11, name)(), Pkcs11Address(MODULE, token="Signert test", label="seal"))
    assert words in error.message
    assert error.retryable is retryable
    assert isinstance(error, CredentialUnavailable) is retryable


# Threads and processes


def test_many_threads(hsm: SoftHsm) -> None:
    credentials = [open_credential(hsm.uri(label)) for label in KEYS]
    start = threading.Barrier(8)

    def work(number: int) -> bool:
        start.wait()
        for turn in range(8):
            data = f"{number} {turn}".encode()
            assert signs(credentials[(number + turn) % len(credentials)], data)
            if number == turn == 4:
                assert signs(open_credential(hsm.uri("seal")))
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


PRELUDE = """
import os, sys, threading
from asn1crypto import x509
from signing import CredentialError, open_credential
from signing.algorithms import verify_raw

def signs(credential):
    certificate = x509.Certificate.load(credential.identity.certificate)
    verify_raw(certificate, credential.identity.mechanism, credential.sign(b"data"), b"data")

def child(work):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""


def run(script: str, *uris: str, environment: dict[str, str]) -> str:
    """A process of its own, which starts the module by itself."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", PRELUDE + script, *uris],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


@pytest.mark.parametrize("line", ["library.reset_on_fork = false", "library.reset_on_fork = true"])
def test_forks(hsm: SoftHsm, tmp_path: Path, line: str) -> None:
    """Both kinds of module: those that believe in the child that they are started, and those that notice."""
    configuration = tmp_path / "softhsm2.conf"
    configuration.write_text(hsm.configuration.read_text() + line + "\n")
    run(
        """
one, two = (open_credential(uri) for uri in sys.argv[1:])

def first():
    signs(one)
    child(second)
    signs(two)

def second():
    child(third)
    signs(two)

def third():
    signs(open_credential(sys.argv[2]))
    child(lambda: signs(one))

child(first)
signs(one)

# Other threads sign while this one forks, and hold the locks of that moment.
going = True
def busy():
    while going:
        signs(two)
threads = [threading.Thread(target=busy) for _ in range(2)]
for thread in threads:
    thread.start()
for _ in range(5):
    child(lambda: signs(one))
going = False
for thread in threads:
    thread.join()
signs(one)
""",
        hsm.uri("seal"),
        hsm.uri("employer"),
        environment={**os.environ, "SOFTHSM2_CONF": str(configuration)},
    )


def test_refused_pin_is_known_to_the_child(hsm: SoftHsm, tmp_path: Path) -> None:
    (tmp_path / "pin").write_text("hunter4")
    output = run(
        """
def ask():
    try:
        open_credential(sys.argv[1])
    except CredentialError as error:
        print(error.message, flush=True)
ask()
child(ask)
""",
        hsm.uri("seal", **{"pin-source": str(tmp_path / "pin")}),
        environment=hsm.environment,
    )
    first, second = output.splitlines()
    assert "refused the PIN (PinIncorrect)" in first
    assert "refused the PIN before" in second


def test_token_that_wants_the_bytes_themselves(hsm: SoftHsm, tmp_path: Path) -> None:
    """No CKM_RSA_PKCS_PSS, but CKM_SHA256_RSA_PKCS_PSS; and no ECDSA at all."""
    configuration = tmp_path / "softhsm2.conf"
    configuration.write_text(
        hsm.configuration.read_text() + "slots.mechanisms = -CKM_RSA_PKCS_PSS,CKM_ECDSA\n"
    )
    output = run(
        """
signs(open_credential(sys.argv[1]))
try:
    open_credential(sys.argv[2])
except CredentialError as error:
    print(error.message)
""",
        hsm.uri("employer"),
        hsm.uri("seal"),
        environment={**os.environ, "SOFTHSM2_CONF": str(configuration)},
    )
    assert output == "the token 'Signert test' does not make ecdsa-sha256 signatures\n"


def test_without_the_extra(hsm: SoftHsm) -> None:
    output = run(
        """
sys.modules["pkcs11"] = None
try:
    open_credential(sys.argv[1])
except CredentialError as error:
    print(error.message, "|", error.remedy)
""",
        hsm.uri("seal"),
        environment=hsm.environment,
    )
    assert "extra 'pkcs11'" in output
    assert "signert[pkcs11]" in output
