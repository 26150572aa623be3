"""Picks one key's chain out of several certificates that came along, one chain after another."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509

from juki.custody.verify import fingerprint
from juki.domain.errors import JukiError, Reason


def chain_of(key_id: bytes, presented: Sequence[bytes]) -> list[bytes]:
    """The certificates (DER) from the one of `key_id` on, as far as each is issued by the next.

    Only sorted out here: whether the chain holds is `verify_chain`'s to say. Raises
    UNKNOWN_SIGNING_KEY where none is of that key.
    """
    for position, certificate in enumerate(presented):
        try:
            if fingerprint(certificate) == key_id:
                return _as_far_as_issued(presented[position:])
        except ValueError:
            break
    raise JukiError(
        Reason.UNKNOWN_SIGNING_KEY, "no certificate of the signing key is known or presented"
    )


def _as_far_as_issued(certificates: Sequence[bytes]) -> list[bytes]:
    chain = [certificates[0]]
    issuer = x509.load_der_x509_certificate(certificates[0]).issuer
    for certificate in certificates[1:]:
        loaded = x509.load_der_x509_certificate(certificate)
        if loaded.subject != issuer:
            break
        chain.append(certificate)
        issuer = loaded.issuer
    return chain
