"""PKCS#11 modules in this process: loaded once, logged in once a token, opened again after a loss or a fork.

All calls to one module go through one lock, and that is no choice: python-pkcs11 starts modules with
C_Initialize(NULL), by which the application promises not to call from several threads at once (PKCS#11 v2.40, base
§ 5.4).

Needs the extra `pkcs11`; it is imported when a key is opened.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import pkcs11
from pkcs11 import TokenFlag, exceptions

from signing.credentials.pkcs11.address import Pkcs11Address
from signing.errors import CredentialError, CredentialUnavailable

if TYPE_CHECKING:
    from pkcs11._pkcs11 import lib as Library  # noqa: N812 - a class, by its C-like name

__all__ = ["Module", "check_tries", "explain", "module_at"]

_T = TypeVar("_T")

_LOST: Final = (
    exceptions.SessionHandleInvalid,
    exceptions.SessionClosed,
    exceptions.UserNotLoggedIn,
    exceptions.KeyHandleInvalid,
    exceptions.ObjectHandleInvalid,
    exceptions.OperationActive,
    exceptions.OperationNotInitialized,
    exceptions.DeviceError,
    exceptions.DeviceRemoved,
    exceptions.TokenNotPresent,
    exceptions.TokenNotRecognised,
    exceptions.SlotIDInvalid,
    exceptions.FunctionCancelled,
    exceptions.FunctionFailed,
    exceptions.GeneralError,
)
"""A module that is started again may be rid of these."""

_FULL: Final = (exceptions.SessionCount, exceptions.DeviceMemory, exceptions.HostMemory)
_PIN: Final = (
    exceptions.PinIncorrect,
    exceptions.PinLocked,
    exceptions.PinExpired,
    exceptions.PinInvalid,
    exceptions.PinLenRange,
    exceptions.UserPinNotInitialized,
)

_SALT: Final = secrets.token_bytes(16)
_started: Final[list[Library]] = []
"""Not to be let go: python-pkcs11 ends the module (C_Finalize) with the last reference."""

_WRONG_PIN: Final = (
    "write the right PIN to the file, or start Signert again when it was the token's PIN that changed: "
    "a token locks after some wrong ones"
)


def _unmapped(error: Exception) -> bool:
    """A return value for which python-pkcs11 has no class: vendors' own, and CKR_CRYPTOKI_NOT_INITIALIZED."""
    return type(error) is exceptions.PKCS11Error


def explain(error: exceptions.PKCS11Error, address: Pkcs11Address) -> CredentialError:
    """What a return value of the module means for whoever wants to sign."""
    where = address.token_name
    # Classes bear the names of the CKR_ values; the text is worth showing only where there is no class.
    name = str(error) if _unmapped(error) else type(error).__name__
    if isinstance(error, exceptions.PinLocked):
        return CredentialError(
            f"the PIN of {where} is locked", remedy="have the token's security officer set a new PIN"
        )
    if isinstance(error, _PIN):
        return CredentialError(
            f"{where} refused the PIN ({name}); it is not tried again until the PIN file changes",
            remedy=_WRONG_PIN,
        )
    if isinstance(error, exceptions.TokenNotPresent):
        return CredentialUnavailable(
            f"{where} is not in any slot of {address.module.name}",
            remedy="see that the HSM is up and connected, and that the address names its token",
        )
    if isinstance(error, exceptions.SessionCount):
        return CredentialUnavailable(
            f"{where} has no session free",
            remedy="end other users of the HSM or raise its limit; the signature can be tried again",
        )
    if isinstance(error, _LOST + _FULL) or _unmapped(error):
        return CredentialUnavailable(
            f"the HSM cannot sign with {address.key_name} now ({name})",
            remedy="see that the HSM and its client are up; the signature can be tried again",
        )
    return CredentialError(f"the HSM refused {address.key_name} ({name})")


@dataclass(frozen=True)
class _Pin:
    text: str = field(repr=False)
    mark: bytes
    """Tells PINs of a token apart without holding them."""


@dataclass(frozen=True)
class _Session:
    session: pkcs11.Session
    mark: bytes | None
    """Of the PIN that was logged in with."""


class Module:
    """One PKCS#11 library in this process."""

    def __init__(self, path: Path, *, parent: Module | None = None) -> None:
        self.path = path
        self.lock = threading.RLock()
        self._library: Library | None = None
        self._inherited: Library | None = None if parent is None else parent._library or parent._inherited
        self._sessions: dict[tuple[int, bool], _Session] = {}
        # Of PINs that were refused, so that no token is locked by asking again and again: not the PINs themselves.
        self._refused: set[bytes] = set() if parent is None else set(parent._refused)

    def run(self, address: Pkcs11Address, action: Callable[[], _T]) -> _T:
        """Do it under the lock; after a loss, once more with everything opened anew. Raises `CredentialError`."""
        with self.lock:
            try:
                try:
                    return action()
                except exceptions.PKCS11Error as error:
                    if not (isinstance(error, _LOST) or _unmapped(error)):
                        raise
                self._restart()
                return action()
            except exceptions.PKCS11Error as error:
                if isinstance(error, _PIN):
                    # python-pkcs11 keeps the handle of a session whose login failed to itself: end them all.
                    with contextlib.suppress(exceptions.PKCS11Error):
                        self._restart()
                raise explain(error, address) from None

    def session(self, address: Pkcs11Address) -> tuple[pkcs11.Session, bool]:
        """The session on the token, shared by all its keys, and whether it was opened just now.

        Shared because login counts for the whole process (PKCS#11 v2.40, usage guide § 2.6).
        """
        token = self._token(address)
        pin = self._pin(token, address)
        place = (token.slot.slot_id, pin is not None)
        if place in self._sessions and self._sessions[place].mark != (pin and pin.mark):
            self._restart()  # the PIN is another than the one logged in with: the token is to judge it
            token = self._token(address)
            place = (token.slot.slot_id, pin is not None)
        if (kept := self._sessions.get(place)) is None:
            self._sessions[place] = opened = self._open(token, pin, address)
            return opened.session, True
        # Asked first: python-pkcs11 leaves a search behind that begins on a session that is gone.
        with contextlib.suppress(exceptions.RandomNoRNG, exceptions.FunctionNotSupported):
            kept.session.generate_random(64)
        return kept.session, False

    def keeps(self, session: pkcs11.Session) -> bool:
        """Whether that session was opened here and is still in use."""
        return any(session is kept.session for kept in self._sessions.values())

    @contextlib.contextmanager
    def pin_for(self, token: pkcs11.Token, address: Pkcs11Address) -> Iterator[str | None]:
        """The PIN for a signature that asks for it. Raises `CredentialError` rather than risk the token's lock."""
        pin = self._pin(token, address)
        with self._judged(token, pin, address):
            yield None if pin is None else pin.text

    def _pin(self, token: pkcs11.Token, address: Pkcs11Address) -> _Pin | None:
        """The PIN in the file now, unless it was refused before. Raises `CredentialError`."""
        if address.pin_file is None:
            return None
        text = _read_pin(address.pin_file)
        mark = hashlib.blake2b(f"{token.label}\n{token.serial!r}\n{text}".encode(), key=_SALT).digest()
        if mark in self._refused:
            raise CredentialError(
                f"{address.token_name} refused the PIN before; it is not tried again until the PIN file changes",
                remedy=_WRONG_PIN,
            )
        return _Pin(text, mark)

    @contextlib.contextmanager
    def _judged(self, token: pkcs11.Token, pin: _Pin | None, address: Pkcs11Address) -> Iterator[None]:
        """Around a login: what the token refuses is remembered."""
        check_tries(token.flags, address)
        try:
            yield
        except _PIN:
            if pin is not None:
                self._refused.add(pin.mark)
            raise

    def _open(self, token: pkcs11.Token, pin: _Pin | None, address: Pkcs11Address) -> _Session:
        if pin is None:
            if TokenFlag.LOGIN_REQUIRED in token.flags:
                raise CredentialError(
                    f"{address.token_name} wants a PIN", remedy="name its file: pin-source=/run/secrets/pin"
                )
            return _Session(token.open(), None)
        with self._judged(token, pin, address):
            try:
                return _Session(token.open(user_pin=pin.text), pin.mark)
            except exceptions.UserAlreadyLoggedIn:
                return _Session(token.open(), pin.mark)  # by other code in this process: it counts for us too

    def _token(self, address: Pkcs11Address) -> pkcs11.Token:
        found: list[pkcs11.Token] = []
        fault: exceptions.PKCS11Error | None = None
        for slot in self._loaded().get_slots(token_present=True):
            if address.slot not in (None, slot.slot_id):
                continue
            try:
                token = slot.get_token()
            except (exceptions.TokenNotPresent, exceptions.TokenNotRecognised):
                continue
            except exceptions.PKCS11Error as error:
                fault = error  # another slot may be well, and hold the token
                continue
            wanted = (
                (address.token, token.label),
                (address.serial, token.serial.decode("utf-8", errors="replace")),
                (address.manufacturer, token.manufacturer_id),
                (address.model, token.model),
            )
            if TokenFlag.TOKEN_INITIALIZED in token.flags and all(a in (None, b) for a, b in wanted):
                found.append(token)
        if not found:  # many modules look for tokens when they start, and only then
            raise fault or exceptions.TokenNotPresent
        if len(found) > 1:
            raise CredentialError(
                f"{len(found)} tokens fit the address of {address.token_name}",
                remedy="tell them apart by serial= or slot-id=",
            )
        return found[0]

    def _loaded(self) -> Library:
        if self._library is None:
            _check_module(self.path)
            if self._inherited is None:
                self._library = pkcs11.lib(str(self.path))
            else:
                self._library = self._load_after_fork(self._inherited)
        return self._library

    def _load_after_fork(self, inherited: Library) -> Library:
        """C_Initialize in the child, before any other call (PKCS#11 v2.40, usage guide § 2.5.2)."""
        from pkcs11 import _pkcs11

        try:
            library = _pkcs11.lib(str(self.path))
        except exceptions.PKCS11Error:
            # Modules that do not notice forks, as SoftHSM is set up by Debian, believe they are started.
            _start_again(inherited)
            return inherited
        _started.append(library)
        return library

    def _restart(self) -> None:
        """End every session and the connection to the HSM, and begin anew."""
        self._sessions.clear()
        if self._library is not None:
            _start_again(self._library)


def _start_again(library: Library) -> None:
    with contextlib.suppress(exceptions.PKCS11Error):  # it may be ended already, or unable to say goodbye
        library.finalize()
    try:
        library.initialize()
    except exceptions.PKCS11Error as error:
        try:
            library.get_slots()  # if it was not to be ended and still answers, it can be used
        except exceptions.PKCS11Error:
            raise error from None


def _check_module(path: Path) -> None:
    """What can never work is told from an HSM that is down. Raises `CredentialError`."""
    try:
        # Kept open: modules that are unloaded at the end of a process are known to crash it.
        entry = hasattr(ctypes.CDLL(str(path)), "C_GetFunctionList")
    except OSError:
        entry = False
    if not entry:
        raise CredentialError(
            f"{path} is not a PKCS#11 library that can be loaded",
            remedy="install the HSM's client software and give module-path= the path of its library",
        )


def check_tries(flags: TokenFlag, address: Pkcs11Address) -> None:
    """Other processes and earlier runs may have used up the tries: the last one is left to people."""
    if TokenFlag.USER_PIN_LOCKED in flags:
        raise explain(exceptions.PinLocked(), address)
    if TokenFlag.USER_PIN_FINAL_TRY in flags:
        raise CredentialError(
            f"{address.token_name} locks with the next wrong PIN; it is not tried by machine",
            remedy="log in once by hand with the right PIN, which gives all tries back",
        )


def _read_pin(path: Path) -> str:
    try:
        pin = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise CredentialError(f"the PIN file {path} cannot be read") from None
    if not pin:
        raise CredentialError(f"the PIN file {path} is empty")
    return pin


_modules: dict[Path, Module] = {}
_forking = threading.Lock()
_stopped: list[Module] = []


def module_at(path: Path) -> Module:
    """The module of that path in this process. It is loaded when it is first needed."""
    path = path.resolve()  # one library by two names would be started twice
    return _modules.setdefault(path, Module(path))


def _before_fork() -> None:
    """No fork in the middle of a call: the child would inherit the module's own locks, taken for ever."""
    _forking.acquire()
    _stopped[:] = _modules.values()
    for module in _stopped:
        module.lock.acquire()


def _after_fork_in_parent() -> None:
    for module in _stopped:
        module.lock.release()
    _stopped.clear()
    _forking.release()


def _after_fork_in_child() -> None:
    """Sessions and logins are the parent's: the child has none, and starts each module when it is needed."""
    _stopped.clear()
    _forking.release()
    for path, module in list(_modules.items()):
        _modules[path] = Module(path, parent=module)


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
)
