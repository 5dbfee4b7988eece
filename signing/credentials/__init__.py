"""Where keys live: a URI scheme for each kind of place. Today `csc:`, `pkcs11:` and `pkcs12:`."""

from signing.credentials.base import Credential, SignerIdentity, open_credential, register_scheme
from signing.credentials.csc import CscCredential
from signing.credentials.pkcs11 import Pkcs11Credential
from signing.credentials.pkcs12 import Pkcs12Credential

__all__ = [
    "Credential",
    "CscCredential",
    "Pkcs11Credential",
    "Pkcs12Credential",
    "SignerIdentity",
    "open_credential",
    "register_scheme",
]
