"""Bearer tokens, of a provider on this machine: good ones of each kind, and all that may be wrong with others."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from service.adapters.tokens import MAX_TOKEN, Issuer, Tokens, keys, load_issuers
from service.domain.access import Reader, ReaderRole
from service.errors import ConfigurationError, ProviderUnavailable, RoleMissing, TokenRefused
from tests.oidcprovider import Key, Provider, Request, serve_provider

PID = "17849431021"


@pytest.fixture
def provider() -> Iterator[Provider]:
    with serve_provider() as provider:
        yield provider


def issuers(folder: Path, text: str, *, production: bool = False) -> tuple[Issuer, ...]:
    path = folder / "issuers.toml"
    path.write_text(text)
    return load_issuers(path, production=production)


def employees(folder: Path, provider: Provider, more: str = "") -> Tokens:
    return Tokens(
        issuers(
            folder,
            f"""
            [issuers.employees]
            issuer = "{provider.issuer}"
            audience = ["signert", "signert-test"]
            role = {{claim = "groups", archivist = ["archive"], operator = ["operations"]}}
            {more}
            """,
        )
    )


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def tokens(tmp_path: Path, provider: Provider) -> Tokens:
    return employees(tmp_path, provider)


def read(tokens: Tokens, token: str) -> Reader:
    return tokens.reader(token, now=now())


def refusal(tokens: Tokens, token: str) -> str:
    with pytest.raises(TokenRefused) as caught:
        read(tokens, token)
    assert caught.value.remedy
    return caught.value.code


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "ES384", "EdDSA"])
@pytest.mark.parametrize("with_alg", [True, False])
def test_tokens_of_every_algorithm(tmp_path: Path, algorithm: str, with_alg: bool) -> None:
    key = Key.make("k", algorithm)
    with serve_provider(key) as provider:
        provider.answers["/jwks"] = json.dumps({"keys": [key.jwk(with_alg=with_alg)]}).encode()
        reader = read(employees(tmp_path, provider), provider.token(sub="anna", groups=["x", "archive"]))
    assert reader == Reader(ReaderRole.ARCHIVIST, "employees", "anna")
    assert provider.asked == ["/.well-known/openid-configuration", "/jwks"]


def test_keys_are_fetched_once(tokens: Tokens, provider: Provider) -> None:
    for _ in range(5):
        read(tokens, provider.token(groups="archive"))
    assert provider.asked.count("/jwks") == 1


def test_keys_in_a_file_and_at_an_address_of_their_own(tmp_path: Path, provider: Provider) -> None:
    (tmp_path / "jwks.json").write_text(json.dumps(provider.jwks))
    for place in ("jwks.json", f"{provider.issuer}/jwks"):
        tokens = employees(tmp_path, provider, f'jwks = "{place}"')
        assert read(tokens, provider.token(groups="operations")).role is ReaderRole.OPERATOR
    assert provider.asked == ["/jwks"]


def test_times(tokens: Tokens, provider: Provider) -> None:
    at = time.time()
    cases: list[tuple[str, dict[str, Any]]] = [
        ("token_expired", {"exp": at - 31}),
        ("token_expired", {"exp": 0}),
        ("token_not_yet_valid", {"nbf": at + 35}),
        ("token_not_yet_valid", {"iat": at + 35}),
        ("token_malformed", {"exp": None}),
        ("token_malformed", {"exp": "tomorrow"}),
        ("token_malformed", {"exp": True}),
        ("token_malformed", {"nbf": "now"}),
    ]
    for code, claims in cases:
        assert refusal(tokens, provider.token(groups="archive", **claims)) == code
    # The providers' clocks and ours need not be the same to the second.
    for claims in ({"exp": at - 5}, {"nbf": at + 5}, {"iat": at + 5}):
        assert read(tokens, provider.token(groups="archive", **claims)).role is ReaderRole.ARCHIVIST


def test_our_clock_is_the_one_that_counts(tokens: Tokens, provider: Provider) -> None:
    token = provider.token(groups="archive", lifetime=60)
    with pytest.raises(TokenRefused) as caught:
        tokens.reader(token, now=now() + timedelta(minutes=2))
    assert caught.value.code == "token_expired"


@pytest.mark.parametrize("audience", ["other", ["other"], [], None, "", "SIGNERT"])
def test_tokens_for_another_service(tokens: Tokens, provider: Provider, audience: Any) -> None:
    assert refusal(tokens, provider.token(groups="archive", aud=audience)) == "audience_wrong"
    assert read(tokens, provider.token(groups="archive", aud=["other", "signert-test"]))


def test_issuers_that_are_not_ours(tokens: Tokens, provider: Provider) -> None:
    for issuer in ("https://evil.invalid", provider.issuer + "/", provider.issuer.upper(), ""):
        assert refusal(tokens, provider.token(groups="archive", iss=issuer)) == "issuer_unknown"
    for nothing in (None, 7, ["x"]):
        # PyJWT will not make such a token; somebody else's library may.
        token = _signed(provider, {"iss": nothing, "exp": time.time() + 60, "aud": "signert"})
        assert refusal(tokens, token) == "token_malformed"


def _part(value: object) -> str:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()


def _signed(provider: Provider, claims: object) -> str:
    head = provider.token().split(".")[0]
    return f"{head}.{_part(claims)}.{_part(b'x' * 64)}"


def test_no_signature_at_all(tokens: Tokens, provider: Provider) -> None:
    _, claims, _ = provider.token(groups="archive").split(".")
    for algorithm in ("none", "None", "NONE", "", None):
        assert (
            refusal(tokens, f"{_part({'alg': algorithm, 'kid': 'first'})}.{claims}.") == "algorithm_refused"
        )
    assert refusal(tokens, f"{_part({'typ': 'JWT'})}.{claims}.") == "algorithm_refused"


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_the_public_key_is_no_secret(tmp_path: Path, algorithm: str) -> None:
    key = Key.make("rsa", "RS256")
    with serve_provider(key) as provider:
        tokens = employees(tmp_path, provider)
        assert read(tokens, provider.token(groups="archive"))
        public = key.private.public_key()
        forms = [
            public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
            public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
            json.dumps(key.jwk()).encode(),
        ]
        _, claims, _ = provider.token(groups="archive").split(".")
        head = _part({"alg": algorithm, "kid": "rsa", "typ": "JWT"})
        for secret in forms:
            mac = hmac.digest(secret, f"{head}.{claims}".encode(), hashlib.new(f"sha{algorithm[2:]}").name)
            assert refusal(tokens, f"{head}.{claims}.{_part(mac)}") == "algorithm_refused"


def test_an_algorithm_that_is_not_the_keys(tmp_path: Path) -> None:
    key = Key.make("rsa", "RS256")
    with serve_provider(key) as provider:
        tokens = employees(tmp_path, provider)
        other = Key("rsa", "PS256", key.private)
        assert refusal(tokens, provider.token(key=other, groups="archive")) == "algorithm_refused"
        elliptic = Key.make("rsa", "ES256")
        assert refusal(tokens, provider.token(key=elliptic, groups="archive")) == "algorithm_refused"


def test_an_algorithm_that_this_issuer_may_not_use(tmp_path: Path, provider: Provider) -> None:
    tokens = employees(tmp_path, provider, 'algorithms = ["PS256"]')
    assert refusal(tokens, provider.token(groups="archive")) == "algorithm_refused"


def test_what_was_changed_after_it_was_signed(tokens: Tokens, provider: Provider) -> None:
    head, claims, signature = provider.token(groups="operations").split(".")
    body = json.loads(base64.urlsafe_b64decode(claims + "=="))
    changed = _part(body | {"groups": "archive"})
    assert refusal(tokens, f"{head}.{changed}.{signature}") == "signature_invalid"
    assert refusal(tokens, f"{head}.{claims}.{signature[:-4]}AAAA") == "signature_invalid"
    assert refusal(tokens, f"{head}.{claims}.") == "signature_invalid"
    stranger = Key.make("first")
    assert refusal(tokens, provider.token(key=stranger, groups="archive")) == "signature_invalid"


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "a.b.c", "a.b", "a.b.c.d", "e30.e30.e30", "bnVsbA.bnVsbA.", "W10.W10.", "æ.ø.å", "x" * 9000,
     _part(b'{"alg":"ES256","kid":7}') + ".e30.", _part(b"[" * 5000) + "." + _part(b"[" * 100) + "."],
)  # fmt: skip
def test_what_is_no_token(tokens: Tokens, token: str) -> None:
    assert refusal(tokens, token) in {"token_malformed", "algorithm_refused"}


def test_tokens_of_another_kind(tokens: Tokens, provider: Provider) -> None:
    for kind in ("logout+jwt", "dpop+jwt", "signert-command+jwt"):
        assert refusal(tokens, provider.token(groups="archive", headers={"typ": kind})) == "token_type"
    assert refusal(tokens, provider.token(groups="archive", headers={"crit": ["x"]})) == "token_malformed"
    for kind in ("JWT", "jwt", "application/at+jwt", None):
        assert read(tokens, provider.token(groups="archive", headers={"typ": kind}))


def test_tokens_beyond_the_limit(tokens: Tokens, provider: Provider) -> None:
    token = provider.token(groups="archive", padding="x" * MAX_TOKEN)
    assert refusal(tokens, token) == "token_malformed"
    assert provider.asked == []  # nothing was fetched for it


def test_a_key_may_be_left_unnamed_where_there_is_only_one(tokens: Tokens, provider: Provider) -> None:
    assert read(tokens, provider.token(groups="archive", headers={"kid": None}))
    provider.keys.append(Key.make("second"))
    with_two = provider.token(groups="archive", headers={"kid": None})
    assert refusal(Tokens([i for i, _ in tokens._issuers.values()]), with_two) == "key_unknown"


def test_keys_are_turned(tokens: Tokens, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    old = provider.token(groups="archive")
    assert read(tokens, old)
    provider.rotate()
    # The provider has just been asked, so it is not asked again for a while.
    assert refusal(tokens, provider.token(groups="archive")) == "key_unknown"
    monkeypatch.setattr(keys, "_PAUSE", 0.0)
    tokens = Tokens([i for i, _ in tokens._issuers.values()])
    assert refusal(tokens, old) == "key_unknown"
    assert read(tokens, provider.token(groups="archive"))
    provider.rotate()
    assert read(tokens, provider.token(groups="archive"))


def test_unknown_keys_do_not_make_us_ask_without_end(tokens: Tokens, provider: Provider) -> None:
    read(tokens, provider.token(groups="archive"))
    for number in range(20):
        stranger = Key.make(f"stranger-{number}")
        assert refusal(tokens, provider.token(key=stranger, groups="archive")) == "key_unknown"
    assert provider.asked.count("/jwks") == 1


def test_a_provider_that_is_away(tokens: Tokens, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    provider.down = True
    token = provider.token(groups="archive")
    for _ in range(3):
        with pytest.raises(ProviderUnavailable) as caught:
            read(tokens, token)
        assert caught.value.retryable
    assert len(provider.asked) == 1  # and it is not asked at once again
    provider.down = False
    monkeypatch.setattr(keys, "_RETRY", 0.0)
    tokens = Tokens([i for i, _ in tokens._issuers.values()])
    provider.down = True
    with pytest.raises(ProviderUnavailable):
        read(tokens, token)
    provider.down = False
    assert read(tokens, token)
    # What was fetched holds while the provider is away, but not for ever.
    provider.down = True
    monkeypatch.setattr(keys, "_FRESH", 0.0)
    assert read(tokens, token)
    monkeypatch.setattr(keys, "_STALE", 0.0)
    with pytest.raises(ProviderUnavailable):
        read(tokens, token)


def test_a_slow_provider_is_waited_for_once(
    tokens: Tokens, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = provider.token(groups="archive")
    assert read(tokens, token)
    monkeypatch.setattr(keys, "_FRESH", 0.0)
    monkeypatch.setattr(keys, "_PAUSE", 0.0)
    tokens = Tokens([i for i, _ in tokens._issuers.values()])
    assert read(tokens, token)
    waiting, go_on = threading.Event(), threading.Event()

    def slow(_request: Request) -> tuple[int, dict[str, str], bytes]:
        waiting.set()
        assert go_on.wait(20)
        return 200, {}, json.dumps(provider.jwks).encode()

    provider.routes["/jwks"] = slow
    asking = threading.Thread(target=read, args=(tokens, token))
    asking.start()
    assert waiting.wait(20)
    assert read(tokens, token)  # with the keys that are known, while another thread waits for the provider
    go_on.set()
    asking.join()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/.well-known/openid-configuration", b"not json"),
        ("/.well-known/openid-configuration", b"[]"),
        ("/.well-known/openid-configuration", b'{"issuer": "https://evil.invalid", "jwks_uri": "https://evil.invalid/"}'),
        ("/jwks", b"{}"),
        ("/jwks", b'{"keys": {}}'),
        ("/jwks", b'{"keys": [' + b"{}," * 200 + b"{}]}"),
        ("/jwks", b'{"keys": []}' + b" " * 300_000),
        ("/jwks", b"[" * 100_000),
    ],
)  # fmt: skip
def test_a_provider_that_says_nonsense(tokens: Tokens, provider: Provider, path: str, body: bytes) -> None:
    provider.answers[path] = body
    with pytest.raises(ProviderUnavailable):
        read(tokens, provider.token(groups="archive"))


def test_keys_that_are_not_for_us_are_passed_over(tmp_path: Path, provider: Provider) -> None:
    own = provider.keys[0]
    weak = {"kty": "RSA", "n": _part(b"\xff" * 128), "e": "AQAB", "kid": "weak"}
    others = [
        weak,
        own.jwk() | {"kid": "encryption", "use": "enc"},
        own.jwk() | {"kid": "secret", "d": "AAAA"},
        own.jwk() | {"kid": "broken", "x": "AAAA"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "oct"},
        {"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA", "kid": "p521"},
        "nothing",
    ]
    provider.answers["/jwks"] = json.dumps({"keys": [*others, own.jwk()]}).encode()
    tokens = employees(tmp_path, provider)
    assert read(tokens, provider.token(groups="archive"))
    for kid in ("weak", "encryption", "secret", "broken", "oct", "p521"):
        named = Key(kid, "ES256", own.private)
        assert refusal(tokens, provider.token(key=named, groups="archive")) == "key_unknown"


# --- who it is ---


def test_roles_by_claim(tokens: Tokens, provider: Provider) -> None:
    assert read(tokens, provider.token(groups=["operations", "archive"])).role is ReaderRole.ARCHIVIST
    for groups in (None, [], ["other"], {"archive": 1}, "Archive"):
        with pytest.raises(RoleMissing):
            read(tokens, provider.token(groups=groups))


def party_tokens(folder: Path, provider: Provider) -> Tokens:
    return Tokens(
        issuers(
            folder,
            f"""
            [issuers.idporten]
            issuer = "{provider.issuer}"
            audience = "signert"
            role = "party"
            national_id = "pid"
            ident = "NAVident"
            organisations = "authorization_details.reportees.ID"
            require = {{acr = ["idporten-loa-substantial", "idporten-loa-high"], scope = ["signert:read"]}}
            """,
        )
    )


GOOD = {"acr": "idporten-loa-high", "scope": "openid signert:read"}


def test_a_party_is_what_its_provider_vouches_for(tmp_path: Path, provider: Provider) -> None:
    tokens = party_tokens(tmp_path, provider)
    reader = read(tokens, provider.token(sub="s", pid=PID, groups=["archive"], **GOOD))
    assert reader == Reader(ReaderRole.PARTY, "idporten", "s", national_id=PID)
    details = [
        {"reportees": [{"ID": "0192:312300028"}, {"ID": "0192:123"}]},
        {"reportees": [{"ID": "313500047"}]},
    ]
    reader = read(tokens, provider.token(authorization_details=details, **GOOD))
    assert reader.organisations == {"312300028", "313500047"}
    assert read(tokens, provider.token(NAVident="Z990123", **GOOD)).ident == "Z990123"


@pytest.mark.parametrize(
    "claims",
    [{}, {"pid": "12345678901"}, {"pid": ["17849431021", "09828823113"]}, {"NAVident": "z1"}, {"pid": 17849431021},
     {"authorization_details": "0192:1"}],
)  # fmt: skip
def test_a_party_that_nobody_knows(tmp_path: Path, provider: Provider, claims: dict[str, Any]) -> None:
    with pytest.raises(RoleMissing):
        read(party_tokens(tmp_path, provider), provider.token(**claims, **GOOD))


@pytest.mark.parametrize(
    "missing", [{"acr": "idporten-loa-low"}, {"acr": None}, {"scope": "openid"}, {"scope": None}]
)
def test_what_is_asked_of_a_claim(tmp_path: Path, provider: Provider, missing: dict[str, Any]) -> None:
    with pytest.raises(RoleMissing) as caught:
        read(party_tokens(tmp_path, provider), provider.token(pid=PID, **(GOOD | missing)))
    assert caught.value.code == "claim_missing"


def test_case_systems_by_their_organisation(tmp_path: Path, provider: Provider) -> None:
    tokens = Tokens(
        issuers(
            tmp_path,
            f"""
            [issuers.maskinporten]
            issuer = "{provider.issuer}"
            audience = "signert"
            role = "case_system"
            [issuers.maskinporten.case_systems]
            claim = "consumer.ID"
            "0192:312300028" = ["tiltak", "arena"]
            """,
        )
    )
    consumer = {"authority": "iso6523-actorid-upis", "ID": "0192:312300028"}
    reader = read(tokens, provider.token(sub=None, client_id="machine", consumer=consumer))
    assert (reader.subject, reader.case_systems) == ("machine", {"tiltak", "arena"})
    with pytest.raises(RoleMissing):
        read(tokens, provider.token(consumer={"ID": "0192:313500047"}))
    with pytest.raises(RoleMissing):
        read(tokens, provider.token(sub=None, consumer=consumer))  # nobody at all


def test_a_role_takes_nothing_that_is_not_its_own(tmp_path: Path, provider: Provider) -> None:
    """An archivist's identity number makes no party of it."""
    tokens = employees(tmp_path, provider, 'national_id = "pid"')
    assert read(tokens, provider.token(groups="archive", pid=PID)).national_id is None


# --- the file ---

WHOLE = '[issuers.a]\nissuer = "https://a.invalid"\naudience = "signert"\nrole = "archivist"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must have"),
        ("x = 1", "must have"),
        ("[issuers]", "must have"),
        ("[issuers.a", "is not TOML"),
        ("[issuers.A]\nissuer = 1", "a name is"),
        ("[issuers.a]", "lacks audience, issuer, role"),
        (WHOLE + "extra = 1", "must not have extra"),
        (WHOLE.replace("https:", "http:"), "issuer: must be https"),
        (WHOLE + 'jwks = "http://keys.invalid/"', "jwks: must be https"),
        (WHOLE.replace('"signert"', "[]"), "audience: must be"),
        (WHOLE.replace('"archivist"', '"boss"'), "is not one of"),
        (WHOLE.replace('"archivist"', '"party"'), "a party is known by"),
        (WHOLE.replace('"archivist"', '"case_system"'), "a case system is known by"),
        (WHOLE.replace('"archivist"', '{claim = "x"}'), "names no role"),
        (WHOLE.replace('"archivist"', '{claim = "x", archivist = ["a"], operator = ["a"]}'), "two roles"),
        (WHOLE + 'algorithms = ["HS256"]', "HS256 is not taken"),
        (WHOLE + 'algorithms = ["none"]', "none is not taken"),
        (WHOLE + "leeway = 4000", "leeway"),
        (WHOLE + WHOLE.replace("issuers.a", "issuers.b"), "same issuer"),
    ],
)
def test_files_with_faults(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        issuers(tmp_path, text)


def test_without_tls_only_on_this_machine_and_not_in_production(tmp_path: Path) -> None:
    local = WHOLE.replace("https://a.invalid", "http://127.0.0.1:9000")
    assert issuers(tmp_path, local)
    with pytest.raises(ConfigurationError, match="must be https"):
        issuers(tmp_path, local, production=True)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_issuers(tmp_path / "nothing.toml", production=False)
