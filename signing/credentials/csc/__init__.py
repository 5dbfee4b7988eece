"""Keys in a remote signing service, by the Cloud Signature Consortium API v1.0.4.0 and v2.0.0.2.

`csc:/etc/signert/seal.toml` names a file that says which service and which credential:

    service = "https://sign.example/csc/v2"      # base URI, up to and with /csc/v1 or /csc/v2
    credential = "seal-2026"                     # credentialID
    version = 2                                  # else as the service's `info` says
    authorization = "implicit"                   # or explicit, oauth2code: refused when the service says otherwise
    pin-file = "/run/secrets/csc-pin"            # for explicit
    certificate-sha256 = "9f…"                   # any other certificate is refused
    ca-file = "/etc/signert/provider-ca.pem"     # else the system's anchors; TLS is always verified
    connect-timeout = 5                          # seconds
    read-timeout = 30                            # seconds, for each answer
    info-max-age = 60                            # seconds the credential's state is believed

    [client]                                     # left out when the service needs no access token
    id = "signert"
    secret-file = "/run/secrets/csc-client"
    authentication = "post"                      # or basic (RFC 6749, 2.3.1)
    scope = "service"                            # sent when named
    token-endpoint = "https://…"                 # else by way of `info`
    authorization-endpoint = "https://…"         # else by way of `info`
    redirect-uri = "https://signert.example/csc" # where a person comes back to after approving

Secrets are in files only, read when they are used, so a rotated secret is taken into use by itself. Paths are
relative to the file. Nothing is asked of the service before the identity or a signature is wanted.
A one-time password cannot be given unattended: a credential that demands one is refused.
"""

from signing.credentials.csc.config import CscConfig
from signing.credentials.csc.credential import CscCredential
from signing.credentials.csc.oauth import UserAuthorization
from signing.credentials.csc.protocol import ActivationData

__all__ = ["ActivationData", "CscConfig", "CscCredential", "UserAuthorization"]
