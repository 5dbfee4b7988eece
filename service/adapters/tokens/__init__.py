"""Bearer tokens: who a reader is (`checking`), by which provider (`issuers`) and its keys (`keys`)."""

from service.adapters.tokens.checking import MAX_TOKEN, Tokens
from service.adapters.tokens.issuers import ALGORITHMS, Issuer, load_issuers, reader_of

__all__ = ["ALGORITHMS", "MAX_TOKEN", "Issuer", "Tokens", "load_issuers", "reader_of"]
