"""Where keys live: a URI scheme for each kind of place. Today `pkcs12:`."""

from signing.credentials.base import Credential, SignerIdentity, open_credential, register_scheme
from signing.credentials.pkcs12 import Pkcs12Credential

__all__ = ["Credential", "Pkcs12Credential", "SignerIdentity", "open_credential", "register_scheme"]
