"""Keys in HSMs and smart cards, by PKCS#11. The key never leaves the token; it signs digests made here.

    pkcs11:token=Signert;object=seal?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=/run/secrets/pin

The certificate is the token's with the key's CKA_ID, or comes from a file: `&certificate=/etc/signert/seal.pem`.
"""

from signing.credentials.pkcs11.credential import Pkcs11Credential

__all__ = ["Pkcs11Credential"]
