"""Signed commands: who sent them is known by key, and nothing else passes."""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
import rfc8785
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from service.adapters.producers import MAX_SIGNATURE, ProducerKeys, sign_command
from service.domain.sender import Sender
from service.errors import CommandRejected, ConfigurationError

ROOT = Path(__file__).parents[2]
EXAMPLE = json.loads((ROOT / "examples/agreement.json").read_text())
NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
COMMAND: dict[str, Any] = {"command_id": "0d9f1c7e-5a37-4b7e-9a55-2f1d0c8e7b61", "agreement": EXAMPLE}

# --- the worked example, as docs/integration.md may quote it ---

VECTOR_COMMAND = {
    "command_id": "6f1c2b9e-0a4d-4f7b-8c3e-5d2a1b0c9f8e",
    "agreement": {
        "position": {"title": "Gartnar på Sørøya", "percentage": 80.0},
        "case": {"system": "arena", "reference": "2026-1234"},
    },
}
"""Only enough of an agreement to show the canonical form: order of names, a number, letters beyond ASCII."""
VECTOR_CANONICAL = (
    '{"agreement":{"case":{"reference":"2026-1234","system":"arena"},"position":{"percentage":80,'
    '"title":"Gartnar på Sørøya"}},"command_id":"6f1c2b9e-0a4d-4f7b-8c3e-5d2a1b0c9f8e"}'
)
VECTOR_SHA256 = "c56bcf8489ee577750c2d2c882bb38457f546076f70af146c14861d59d940853"
VECTOR_TIME = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)  # 1795251600
VECTOR_CLAIMS = (
    '{"iat":1795251600,"iss":"arena","jti":"6f1c2b9e-0a4d-4f7b-8c3e-5d2a1b0c9f8e",'
    '"sha256":"' + VECTOR_SHA256 + '","sub":"submit"}'
)

VECTOR_P256 = {  # the key of RFC 7515 A.3
    "kty": "EC",
    "crv": "P-256",
    "kid": "rfc7515-a3",
    "alg": "ES256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
VECTOR_P256_PRIVATE = {**VECTOR_P256, "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}
VECTOR_P256_HEADER = '{"alg":"ES256","kid":"rfc7515-a3","typ":"signert-command+jwt"}'
VECTOR_P256_JWS = (
    "eyJhbGciOiJFUzI1NiIsImtpZCI6InJmYzc1MTUtYTMiLCJ0eXAiOiJzaWduZXJ0LWNvbW1hbmQrand0In0."
    "eyJpYXQiOjE3OTUyNTE2MDAsImlzcyI6ImFyZW5hIiwianRpIjoiNmYxYzJiOWUtMGE0ZC00ZjdiLThjM2UtNWQyYTFiMGM5"
    "ZjhlIiwic2hhMjU2IjoiYzU2YmNmODQ4OWVlNTc3NzUwYzJkMmM4ODJiYjM4NDU3ZjU0NjA3NmY3MGFmMTQ2YzE0ODYxZDU5"
    "ZDk0MDg1MyIsInN1YiI6InN1Ym1pdCJ9"
    ".SYO4gfFx3Cp3kqZuVz_CLprafGa14mFzs62jUR7Kq4hNDm50MWzhccISbijy5P3Q3CFZyhkmmfiWKaqtzaVTVQ"
)
"""Signed with the nonce of RFC 6979, so that it comes out the same each time."""

VECTOR_ED25519 = {  # the key of RFC 8037 A.1
    "kty": "OKP",
    "crv": "Ed25519",
    "kid": "rfc8037-a1",
    "alg": "EdDSA",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}
VECTOR_ED25519_PRIVATE = {**VECTOR_ED25519, "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}
VECTOR_ED25519_JWS = (
    "eyJhbGciOiJFZERTQSIsImtpZCI6InJmYzgwMzctYTEiLCJ0eXAiOiJzaWduZXJ0LWNvbW1hbmQrand0In0."
    "eyJpYXQiOjE3OTUyNTE2MDAsImlzcyI6ImFyZW5hIiwianRpIjoiNmYxYzJiOWUtMGE0ZC00ZjdiLThjM2UtNWQyYTFiMGM5"
    "ZjhlIiwic2hhMjU2IjoiYzU2YmNmODQ4OWVlNTc3NzUwYzJkMmM4ODJiYjM4NDU3ZjU0NjA3NmY3MGFmMTQ2YzE0ODYxZDU5"
    "ZDk0MDg1MyIsInN1YiI6InN1Ym1pdCJ9"
    ".Hdftn8no2sdswgFlB-91KcrFLL5Kp3eP-mvGmov0aB3AmNdXoyTWbDXOkYvCIumNXFbvDM9mtOaql3HLT-fqCg"
)

# --- keys of all kinds, and signatures made by hand: no JOSE library on the producer's side ---

P256 = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())
RSA = rsa.generate_private_key(65537, 2048)
ED25519 = ed25519.Ed25519PrivateKey.generate()
FOREIGN = ec.generate_private_key(ec.SECP256R1())

Sign = Callable[[bytes], bytes]


def b64(body: bytes) -> str:
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()


def ecdsa(key: ec.EllipticCurvePrivateKey, digest: hashes.HashAlgorithm, **options: bool) -> Sign:
    def sign(message: bytes) -> bytes:
        size = key.key_size // 8
        r, s = decode_dss_signature(key.sign(message, ec.ECDSA(digest, **options)))
        return r.to_bytes(size) + s.to_bytes(size)

    return sign


def pss(digest: hashes.HashAlgorithm) -> Sign:
    scheme = padding.PSS(padding.MGF1(digest), digest.digest_size)
    return lambda message: RSA.sign(message, scheme, digest)


KINDS: dict[str, tuple[str, Any, Sign]] = {
    "p256": ("ES256", P256, ecdsa(P256, hashes.SHA256())),
    "p384": ("ES384", P384, ecdsa(P384, hashes.SHA384())),
    "ed25519": ("EdDSA", ED25519, ED25519.sign),
    "ps256": ("PS256", RSA, pss(hashes.SHA256())),
    "ps384": ("PS384", RSA, pss(hashes.SHA384())),
    "rs256": ("RS256", RSA, lambda message: RSA.sign(message, padding.PKCS1v15(), hashes.SHA256())),
}


def jwk(key: Any, kid: str, **members: Any) -> dict[str, Any]:
    public = key.public_key()
    made: dict[str, Any]
    if isinstance(public, ec.EllipticCurvePublicKey):
        numbers, size = public.public_numbers(), public.key_size // 8
        x, y = (b64(n.to_bytes(size)) for n in (numbers.x, numbers.y))
        made = {"kty": "EC", "crv": {32: "P-256", 48: "P-384", 66: "P-521"}[(public.key_size + 7) // 8]}
        made |= {"x": x, "y": y}
    elif isinstance(public, rsa.RSAPublicKey):
        n, e = public.public_numbers().n, public.public_numbers().e
        made = {"kty": "RSA", "n": b64(n.to_bytes(public.key_size // 8)), "e": b64(e.to_bytes(3))}
    else:
        made = {"kty": "OKP", "crv": "Ed25519", "x": b64(public.public_bytes_raw())}
    return {**made, "kid": kid, **members}


def producer(*keys: Mapping[str, Any], systems: tuple[str, ...] = ("arena",)) -> dict[str, Any]:
    return {"case_systems": list(systems), "keys": {"keys": list(keys)}}


def load(directory: Path, **producers: Any) -> ProducerKeys:
    return load_text(directory, json.dumps({"producers": producers}))


def load_text(directory: Path, text: str) -> ProducerKeys:
    path = directory / "producers.json"
    path.write_text(text, encoding="utf-8")
    return ProducerKeys.load(path)


def claims_of(payload: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    claims = {
        "iss": "arena",
        "iat": int(NOW.timestamp()),
        "jti": payload["command_id"],
        "sub": "submit",
        "sha256": hashlib.sha256(rfc8785.dumps(payload)).hexdigest(),
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not ...}


def by_hand(header: Any, claims: Any, sign: Sign) -> str:
    head, body = (b64(p if isinstance(p, bytes) else json.dumps(p).encode()) for p in (header, claims))
    return f"{head}.{body}.{b64(sign(f'{head}.{body}'.encode()))}"


def signed(kid: str = "p256", *, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
    algorithm, _, sign = KINDS[kid]
    return by_hand({"alg": algorithm, "kid": kid, **(header or {})}, claims_of(COMMAND, **claims), sign)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> ProducerKeys:
    return load(
        tmp_path_factory.mktemp("keys"),
        arena=producer(
            jwk(P256, "p256"),
            jwk(P384, "p384", alg="ES384", use="sig", key_ops=["verify"]),
            jwk(ED25519, "ed25519"),
            systems=("arena", "arena-test"),
        ),
        tiltak=producer(jwk(FOREIGN, "p256"), jwk(RSA, "tiltak-1", alg="PS256"), systems=("tiltak",)),
    )


def refusal(
    keys: ProducerKeys,
    signature: object,
    payload: Any = COMMAND,
    *,
    name: str = "submit",
    now: datetime = NOW,
) -> str:
    """The code; the rest of the refusal is held to what every refusal keeps."""
    with pytest.raises(CommandRejected) as caught:
        keys.identify(name, payload, signature, now=now)
    (error,) = caught.value.errors
    assert (error.path, error.code) == ("signature", caught.value.code)
    assert error.message.endswith(".")
    shown = json.dumps(caught.value.as_json())
    assert not any(text in shown for text in (COMMAND["command_id"], "arena", "tiltak", "SECRET"))
    return error.code


# --- accepted ---


@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_made_without_a_jose_library_says_who_sent_it(kind: str, tmp_path: Path) -> None:
    algorithm, key, _ = KINDS[kind]
    keys = load(tmp_path, arena=producer(jwk(key, kind, alg=algorithm)))
    assert keys.identify("submit", COMMAND, signed(kind), now=NOW) == Sender(
        "arena", frozenset({"arena"}), NOW
    )


@pytest.mark.parametrize("header", [{"typ": "JWT"}, {"typ": "signert-command+jwt"}, {}])
def test_the_type_may_be_named(keys: ProducerKeys, header: dict[str, str]) -> None:
    sender = keys.identify("submit", COMMAND, signed(header=header), now=NOW)
    assert sender.case_systems == {"arena", "arena-test"}


def test_two_keys_at_a_time_let_a_producer_roll_over(keys: ProducerKeys) -> None:
    for kid in ("p256", "p384", "ed25519"):
        assert keys.identify("submit", COMMAND, signed(kid), now=NOW).name == "arena"


def test_an_old_signature_verifies_and_tells_its_age(keys: ProducerKeys) -> None:
    later = NOW + timedelta(days=400)
    assert keys.identify("submit", COMMAND, signed(), now=later).issued_at == NOW
    half = keys.identify("submit", COMMAND, signed(iat=NOW.timestamp() + 0.5), now=later).issued_at
    assert half == NOW + timedelta(seconds=0.5)


def test_order_and_spelling_of_the_json_do_not_matter(keys: ProducerKeys) -> None:
    payload = {
        "agreement": {
            "æ": 1,
            "€": "blåbærsyltetøy 😀",
            "\U0001f600": [],
            "\ufb33": None,
            "z": 80.0,
            "A": 1e21,
        },
        "command_id": COMMAND["command_id"],
    }
    # By hand after RFC 8785 §3.2.3: UTF-16 code units, so U+1F600 (D83D …) comes before U+FB33.
    canonical = (
        '{"agreement":{"A":1e+21,"z":80,"æ":1,"€":"blåbærsyltetøy 😀","😀":[],"\ufb33":null},'
        f'"command_id":"{COMMAND["command_id"]}"}}'
    )
    signature = signed(sha256=hashlib.sha256(canonical.encode()).hexdigest())
    assert keys.identify("submit", payload, signature, now=NOW)
    assert keys.identify("submit", json.loads(canonical), signature, now=NOW)
    escaped = json.loads(json.dumps(payload, ensure_ascii=True, sort_keys=True, indent=3))
    assert keys.identify("submit", escaped, signature, now=NOW)


def test_letters_are_not_normalised(keys: ProducerKeys) -> None:
    composed, decomposed = ({"command_id": COMMAND["command_id"], "name": n} for n in ("\u00e5", "a\u030a"))
    signature = by_hand({"alg": "ES256", "kid": "p256"}, claims_of(composed), KINDS["p256"][2])
    assert keys.identify("submit", composed, signature, now=NOW)
    assert refusal(keys, signature, decomposed) == "signature_for_another"


# --- the worked example ---


def test_the_worked_example(tmp_path: Path) -> None:
    assert rfc8785.dumps(VECTOR_COMMAND) == VECTOR_CANONICAL.encode()
    assert hashlib.sha256(VECTOR_CANONICAL.encode()).hexdigest() == VECTOR_SHA256
    key = ec.derive_private_key(
        int.from_bytes(base64.urlsafe_b64decode(VECTOR_P256_PRIVATE["d"] + "=")), ec.SECP256R1()
    )
    sign = ecdsa(key, hashes.SHA256(), deterministic_signing=True)
    assert by_hand(VECTOR_P256_HEADER.encode(), VECTOR_CLAIMS.encode(), sign) == VECTOR_P256_JWS

    keys = load(tmp_path, arena=producer(VECTOR_P256, VECTOR_ED25519))
    for signature in (VECTOR_P256_JWS, VECTOR_ED25519_JWS):
        sender = keys.identify("submit", VECTOR_COMMAND, signature, now=VECTOR_TIME)
        assert sender == Sender("arena", frozenset({"arena"}), VECTOR_TIME)

    private = tmp_path / "private.jwk"
    private.write_text(json.dumps(VECTOR_ED25519_PRIVATE))
    made = sign_command("submit", VECTOR_COMMAND, producer="arena", key=private, at=VECTOR_TIME)
    assert made == VECTOR_ED25519_JWS


# --- refused: the form ---


@pytest.mark.parametrize(
    "signature",
    [
        None,
        7,
        b"a.b.c",
        {"jws": "a.b.c"},
        "",
        "..",
        "a.b",
        "a.b.c.d",
        "a.b.c",
        "æ.b.c",
        "\ud800.b.c",
        "." * 8192,
    ],
)
def test_what_is_no_jws(keys: ProducerKeys, signature: object) -> None:
    assert refusal(keys, signature) == "signature_malformed"


def test_a_signature_that_is_too_long_is_not_read(keys: ProducerKeys) -> None:
    room = MAX_SIGNATURE - len(signed(sha256=""))
    for length, code in ((room // 2, "signature_for_another"), (room, "signature_malformed")):
        assert refusal(keys, signed(sha256="x" * length)) == code


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"], "exp": 1},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
        {"jku": "https://SECRET.invalid/keys"},
        {"x5u": "https://SECRET.invalid/chain"},
        {"x5c": ["SECRET"]},
        {"jwk": {"kty": "oct", "k": "SECRET"}},
        {"typ": "at+jwt"},
        {"typ": 1},
        {"zip": "DEF"},
        {"alg": None},
        {"alg": ["ES256"]},
        {"kid": None},
        {"kid": {"SECRET": 1}},
    ],
)
def test_headers_that_are_not_ours(keys: ProducerKeys, header: dict[str, Any]) -> None:
    assert refusal(keys, signed(header=header)) == "signature_malformed"


def test_a_key_that_the_signature_brings_along_is_not_used(keys: ProducerKeys) -> None:
    header = {"alg": "ES256", "kid": "p256", "jwk": jwk(FOREIGN, "p256")}
    signature = by_hand(header, claims_of(COMMAND), ecdsa(FOREIGN, hashes.SHA256()))
    assert refusal(keys, signature) == "signature_malformed"


@pytest.mark.parametrize(
    "claims",
    [
        *({name: ...} for name in ("iss", "iat", "jti", "sub", "sha256")),
        *({name: 1} for name in ("iss", "jti", "sub", "sha256")),
        *({"iat": value} for value in ("1795251600", True, None, -1, 1e300, float("nan"), float("inf"))),
        {"exp": 1},
        {"aud": "SECRET"},
    ],
    ids=str,
)
def test_claims_that_are_not_ours(keys: ProducerKeys, claims: dict[str, Any]) -> None:
    assert refusal(keys, signed(**claims)) == "signature_malformed"


@pytest.mark.parametrize(
    ("header", "body"),
    [
        (b'{"alg":"none","alg":"ES256","kid":"p256"}', None),
        (None, lambda text: text.replace('"sub": ', '"sub": "cancel", "sub": ')),
        (b"[]", None),
        (b'"ES256"', None),
        (b"[" * 3000, None),
        (b'\xef\xbb\xbf{"alg":"ES256","kid":"p256"}', None),
        ('{"alg":"ES256","kid":"p256"}'.encode("utf-16"), None),
        (b'{"alg":"ES256","kid":"\xff"}', None),
        (None, lambda text: text.replace('"iat": ', '"iat": 1' + "0" * 5000)),
        (None, lambda text: text.replace('"iat": ', '"iat": 1' + "0" * 500 + ".")),
        (None, lambda _: "[]"),
        (None, lambda _: "null"),
        (None, lambda _: ""),
    ],
)
def test_json_that_readers_understand_differently(
    keys: ProducerKeys, header: bytes | None, body: Callable[[str], str] | None
) -> None:
    claims = (body or str)(json.dumps(claims_of(COMMAND))).encode()
    head = header or b'{"alg":"ES256","kid":"p256"}'
    assert refusal(keys, by_hand(head, claims, KINDS["p256"][2])) == "signature_malformed"


@pytest.mark.parametrize("kid", ["p256", "ed25519"])
def test_one_signature_has_one_spelling(keys: ProducerKeys, kid: str) -> None:
    good = signed(kid)
    padded = [
        ".".join([*good.split(".")[:2], good.split(".")[2] + "=="]),
        good + "\n",
        " " + good,
        good + "=",
    ]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    unused = good[:-1] + alphabet[alphabet.index(good[-1]) + 1]  # the same 64 bytes to a lenient reader
    for signature in (*padded, unused):
        assert refusal(keys, signature) == "signature_malformed"


# --- refused: the algorithm ---


def test_no_algorithm_is_no_signature(keys: ProducerKeys) -> None:
    for algorithm in ("none", "None", ""):
        for sign in (lambda _: b"", KINDS["p256"][2]):
            unsecured = by_hand({"alg": algorithm, "kid": "p256"}, claims_of(COMMAND), sign)
            assert refusal(keys, unsecured) == "algorithm_refused"


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_the_public_key_is_no_shared_secret(keys: ProducerKeys, algorithm: str) -> None:
    public = P256.public_key()
    secrets = [
        public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint),
        json.dumps(jwk(P256, "p256")).encode(),
        b"",
    ]
    for secret in secrets:

        def sign(message: bytes, secret: bytes = secret) -> bytes:
            return hmac.digest(secret, message, algorithm.replace("HS", "sha"))

        forged = by_hand({"alg": algorithm, "kid": "p256"}, claims_of(COMMAND), sign)
        assert refusal(keys, forged) == "algorithm_refused"


@pytest.mark.parametrize(
    ("kind", "claimed"),
    [
        ("p256", "ES384"),
        ("p256", "EdDSA"),
        ("p256", "PS256"),
        ("p256", "ES512"),
        ("p256", "es256"),
        ("ed25519", "ES256"),
        ("ed25519", "Ed448"),
        ("rs256", "PS256"),
        ("ps256", "RS256"),
        ("ps256", "PS384"),
        ("ps256", "RS1"),
    ],
)
def test_a_key_has_one_algorithm(kind: str, claimed: str, tmp_path: Path) -> None:
    algorithm, key, _ = KINDS[kind]
    keys = load(tmp_path, arena=producer(jwk(key, kind, alg=algorithm)))
    other = next((sign for name, _, sign in KINDS.values() if name == claimed), KINDS[kind][2])
    forged = by_hand({"alg": claimed, "kid": kind}, claims_of(COMMAND), other)
    assert refusal(keys, forged) == "algorithm_refused"


def test_another_scheme_under_the_right_name(tmp_path: Path) -> None:
    keys = load(tmp_path, arena=producer(jwk(RSA, "rsa", alg="PS256"), jwk(P256, "p256")))
    for kid, algorithm, sign in (
        ("rsa", "PS256", KINDS["rs256"][2]),
        ("rsa", "PS256", pss(hashes.SHA384())),
        ("p256", "ES256", lambda message: P256.sign(message, ec.ECDSA(hashes.SHA256()))),  # DER
        ("p256", "ES256", lambda _: bytes(64)),
        ("p256", "ES256", lambda _: b""),
    ):
        forged = by_hand({"alg": algorithm, "kid": kid}, claims_of(COMMAND), sign)
        assert refusal(keys, forged) == "signature_invalid"


# --- refused: who, and for what ---


def test_producers_and_keys_that_are_not_registered(keys: ProducerKeys) -> None:
    assert refusal(keys, signed(iss="SECRET")) == "producer_unknown"
    assert refusal(keys, signed(header={"kid": "2019-1"})) == "key_unknown"
    assert refusal(ProducerKeys({}), signed()) == "producer_unknown"


def test_one_producer_cannot_speak_for_another(keys: ProducerKeys) -> None:
    # tiltak's keys: p256 is a kid that both producers have, tiltak-1 is its own
    foreign = ecdsa(FOREIGN, hashes.SHA256())
    as_arena = by_hand({"alg": "ES256", "kid": "p256"}, claims_of(COMMAND), foreign)
    assert refusal(keys, as_arena) == "signature_invalid"
    own_kid = by_hand({"alg": "PS256", "kid": "tiltak-1"}, claims_of(COMMAND), pss(hashes.SHA256()))
    assert refusal(keys, own_kid) == "key_unknown"
    as_itself = by_hand({"alg": "ES256", "kid": "p256"}, claims_of(COMMAND, iss="tiltak"), foreign)
    sender = keys.identify("submit", COMMAND, as_itself, now=NOW)
    assert sender == Sender("tiltak", frozenset({"tiltak"}), NOW)


def test_a_signature_is_for_one_command(keys: ProducerKeys) -> None:
    assert refusal(keys, signed(), name="cancel") == "signature_for_another"
    assert refusal(keys, signed(sub="cancel")) == "signature_for_another"
    assert refusal(keys, signed(jti=str(uuid.uuid4()))) == "signature_for_another"
    assert refusal(keys, signed(jti=COMMAND["command_id"].upper())) == "signature_for_another"
    assert refusal(keys, signed(sha256=claims_of(COMMAND)["sha256"].upper())) == "signature_for_another"
    again = {**COMMAND, "command_id": str(uuid.uuid4())}
    assert refusal(keys, signed(), again) == "signature_for_another"


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        "SECRET",
        {},
        {"command_id": COMMAND["command_id"], "n": float("nan")},
        {"command_id": COMMAND["command_id"], "n": 2**53},
        {"command_id": COMMAND["command_id"], "\ud800": 1},
        {"command_id": COMMAND["command_id"], "deep": json.loads("[" * 900 + "]" * 900)},
        {"command_id": [COMMAND["command_id"]]},
    ],
    ids=lambda p: type(p).__name__,
)
def test_a_payload_that_no_honest_producer_could_sign(keys: ProducerKeys, payload: Any) -> None:
    assert refusal(keys, signed(), payload) == "signature_for_another"


def test_a_clock_may_be_a_minute_ahead(keys: ProducerKeys) -> None:
    signature = signed(iat=int(NOW.timestamp()) + 60)
    assert keys.identify("submit", COMMAND, signature, now=NOW)
    assert refusal(keys, signed(iat=int(NOW.timestamp()) + 61)) == "signature_in_future"
    assert refusal(keys, signature, now=NOW - timedelta(seconds=1)) == "signature_in_future"


# --- any change at all ---

GOOD = {kid: signed(kid) for kid in ("p256", "p384", "ed25519")}


@pytest.mark.thorough
@given(data=st.data(), kid=st.sampled_from(sorted(GOOD)))
@settings(max_examples=400)
def test_no_character_of_a_signature_can_change(keys: ProducerKeys, data: st.DataObject, kid: str) -> None:
    good = GOOD[kid]
    assert keys.identify("submit", COMMAND, good, now=NOW)
    at = data.draw(st.integers(0, len(good) - 1))
    likely = st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=.+/ \n")
    new = data.draw(likely | st.characters())
    how = data.draw(st.sampled_from(["replace", "insert", "delete", "append"]))
    bad = {
        "replace": good[:at] + new + good[at + 1 :],
        "insert": good[:at] + new + good[at:],
        "delete": good[:at] + good[at + 1 :],
        "append": good + new,
    }[how]
    if bad != good:
        with pytest.raises(CommandRejected):
            keys.identify("submit", COMMAND, bad, now=NOW)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [*([path] if path else []), *(p for key, below in inner for p in places(below, (*path, key)))]


PLACES = places(COMMAND)


@pytest.mark.thorough
@given(path=st.sampled_from(PLACES), value=JSON, how=st.sampled_from(["replace", "delete", "add"]))
@settings(max_examples=400)
def test_nothing_in_a_command_can_change(
    keys: ProducerKeys, path: tuple[Any, ...], value: Any, how: str
) -> None:
    changed = copy.deepcopy(COMMAND)
    parent: Any = changed
    for step in path[:-1]:
        parent = parent[step]
    if how == "delete":
        del parent[path[-1]]
    elif how == "add" and isinstance(parent, list):
        parent.insert(path[-1], value)
    elif how == "add":
        parent[path[-1] + "x"] = value
    else:
        parent[path[-1]] = value
    # Python's own JSON says whether it is a change, not the canonical form that is under test.
    if json.dumps(changed, sort_keys=True) == json.dumps(COMMAND, sort_keys=True):
        assert keys.identify("submit", changed, GOOD["p256"], now=NOW)
    else:
        assert refusal_code(keys, changed) == "signature_for_another"


def refusal_code(keys: ProducerKeys, payload: Any) -> str:
    with pytest.raises(CommandRejected) as caught:
        keys.identify("submit", payload, GOOD["p256"], now=NOW)
    return caught.value.code


@given(payload=st.dictionaries(st.text(max_size=8), JSON, max_size=5))
@settings(max_examples=50)
def test_any_command_can_be_signed(
    keys: ProducerKeys, payload: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    command = {**payload, "command_id": COMMAND["command_id"]}
    signature = by_hand({"alg": "ES256", "kid": "p256"}, claims_of(command), KINDS["p256"][2])
    assert keys.identify("submit", command, signature, now=NOW).name == "arena"


# --- the configuration ---


def fault(directory: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_text(directory, text)
    assert caught.value.remedy
    return caught.value.message.removeprefix(f"{directory / 'producers.json'}: ")


def fault_of_key(directory: Path, key: Any) -> str:
    text = fault(directory, json.dumps({"producers": {"arena": producer(key)}}))
    return text.removeprefix("producers.arena.keys.keys.0")


def private_jwk(key: Any, kid: str, algorithm: str) -> dict[str, Any]:
    made = jwt.get_algorithm_by_name(algorithm).to_jwk(key, as_dict=True)
    made.pop("key_ops", None)
    return {**made, "kid": kid, "alg": algorithm}


@pytest.mark.parametrize("kind", KINDS)
def test_private_keys_do_not_belong_here(kind: str, tmp_path: Path) -> None:
    algorithm, key, _ = KINDS[kind]
    private = private_jwk(key, "k", algorithm)
    text = fault_of_key(tmp_path, private)
    assert text.startswith(".d: is of a private key")
    assert private["d"] not in text
    assert ".k: is of a private key" in fault_of_key(tmp_path, {"kty": "oct", "kid": "k", "k": "c2VjcmV0"})


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("key", ": must be an object"),
        ({}, ": kty and crv must be one of: EC P-256, EC P-384, OKP Ed25519, RSA"),
        ({"kty": "EC P-256"}, ": lacks crv, kid, x, y"),
        (jwk(ec.generate_private_key(ec.SECP256R1()), "k") | {"crv": "P-384"}, ": is not a key"),
        (jwk(ec.generate_private_key(ec.SECP256R1()), "k") | {"crv": ["P-256"]}, ": kty and crv must be"),
        (jwk(P256, "k") | {"kty": "EC ", "crv": "P-256"}, ": kty and crv must be"),
        (jwk(P256, "k") | {"y": b64(bytes(32))}, ": is not a key"),
        (jwk(P256, "k") | {"x": jwk(P256, "k")["x"] + "="}, ": is not a key"),
        (jwk(P256, "k") | {"x": 1}, ": is not a key"),
        (jwk(P256, "k") | {"x": None}, ": is not a key"),
        (jwk(ED25519, "k") | {"x": "AAAA"}, ": is not a key"),
        (jwk(ED25519, "k") | {"crv": "Ed448"}, ": kty and crv must be"),
        (jwk(P256, ""), ".kid: must be a text"),
        (jwk(P256, "k") | {"kid": 1}, ".kid: must be a text"),
        (jwk(P256, "k", alg="ES384"), ".alg: must be ES256"),
        (jwk(P256, "k", alg="HS256"), ".alg: must be ES256"),
        (jwk(P256, "k", alg=None), ".alg: must be ES256"),
        (jwk(RSA, "k"), ".alg: must be PS256 or PS384 or RS256"),
        (jwk(RSA, "k", alg="none"), ".alg: must be PS256 or PS384 or RS256"),
        (jwk(RSA, "k", alg="PS256") | {"e": "AA"}, ": is not a key"),
        (jwk(RSA, "k", alg="PS256") | {"n": ""}, ": is not a key"),
        (jwk(RSA, "k", alg="PS256", x5c=["MII"]), ": must not have x5c"),
        (jwk(P256, "k", use="enc"), ": is not for signatures"),
        (jwk(P256, "k", key_ops=["sign"]), ": is not for signatures"),
        (jwk(P256, "k", key_ops="verify"), ": must be a list"),
        (jwk(P256, "k", nbf=1, exp=2), ": must not have exp, nbf"),
    ],
)
def test_keys_that_cannot_be_used(key: Any, text: str, tmp_path: Path) -> None:
    assert fault_of_key(tmp_path, key).startswith(text)


def test_short_rsa_keys_are_refused(tmp_path: Path) -> None:
    short = rsa.generate_private_key(65537, 2040)
    assert "at least 2048 bits" in fault_of_key(tmp_path, jwk(short, "k", alg="PS256"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ('{"producers": {}', "is not JSON (Expecting ',' delimiter: line 1 column 17"),
        ('{"producers": {"a": 1, "a": 2}}', "is not JSON (a name stands twice"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "the file: must be an object"),
        ("{}", "the file: lacks producers"),
        ('{"producers": {}, "produsenter": {}}', "the file: must not have produsenter"),
        ('{"producers": []}', "producers: must be an object"),
        ('{"producers": {}}', "producers: must name at least one"),
        ('{"producers": {"Arena": {}}}', "producers.Arena: must be 1 to 40 lower-case letters"),
        ('{"producers": {"arena": {"keys": {}}}}', "producers.arena: lacks case_systems"),
        (
            '{"producers": {"arena": {"case_systems": ["a", 1, "B"], "keys": {"keys": []}}}}',
            "producers.arena.case_systems.1: must be 1 to 40 lower-case letters, digits and hyphens; "
            "producers.arena.case_systems.2: must be 1 to 40 lower-case letters, digits and hyphens; "
            "producers.arena.keys.keys: must be a list with something in it",
        ),
        (
            '{"producers": {"a": {"case_systems": [], "keys": []}, "b": 1}}',
            "producers.a.case_systems: must be a list with something in it; "
            "producers.a.keys: must be an object; producers.b: must be an object",
        ),
    ],
)
def test_files_that_cannot_be_used(text: str, message: str, tmp_path: Path) -> None:
    assert fault(tmp_path, text).startswith(message)


def test_a_key_has_one_place(tmp_path: Path) -> None:
    one, two = jwk(P256, "1"), jwk(P384, "1")
    text = fault(tmp_path, json.dumps({"producers": {"a": producer(one, two), "b": producer(one)}}))
    assert text == (
        "producers.a.keys.keys.1.kid: another key of this producer has it; "
        "producers.b.keys.keys.0: is the same key as producers.a.keys.keys.0"
    )


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.json: cannot be read \(No such file"):
        ProducerKeys.load(tmp_path / "nowhere.json")


# --- signing as a producer ---


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "rs256"])
def test_what_sign_command_makes_is_accepted(kind: str, tmp_path: Path) -> None:
    algorithm, key, _ = KINDS[kind]
    file = tmp_path / "private.jwk"
    file.write_text(json.dumps(private_jwk(key, "2026-1", algorithm)))
    signature = sign_command("submit", COMMAND, producer="arena", key=file, at=NOW)
    keys = load(tmp_path, arena=producer(jwk(key, "2026-1", alg=algorithm)))
    assert keys.identify("submit", COMMAND, signature, now=NOW) == Sender("arena", frozenset({"arena"}), NOW)


def test_signing_keys_that_cannot_be_used(tmp_path: Path) -> None:
    file = tmp_path / "private.jwk"
    private = private_jwk(P256, "k", "ES256")
    for content, text in (
        (jwk(P256, "k"), "lacks d"),
        ({**private, "d": b64(bytes(31) + b"\1")}, "is not a key"),
        ({name: value for name, value in private.items() if name != "kid"}, "lacks kid"),
        (private_jwk(RSA, "k", "RS256"), "PS256 or PS384"),
    ):
        file.write_text(json.dumps(content))
        with pytest.raises(ConfigurationError, match=text) as caught:
            sign_command("submit", COMMAND, producer="arena", key=file, at=NOW)
        assert private["d"] not in str(caught.value.as_json())


def test_a_command_without_a_canonical_form_is_not_signed(tmp_path: Path) -> None:
    file = tmp_path / "private.jwk"
    file.write_text(json.dumps(private_jwk(P256, "k", "ES256")))
    with pytest.raises(CommandRejected) as caught:
        sign_command("submit", {**COMMAND, "n": 2**53}, producer="arena", key=file, at=NOW)
    assert [(e.path, e.code) for e in caught.value.errors] == [("$", "not_canonical")]
