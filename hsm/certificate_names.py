"""The names in a certificate, and those that an authority's certificate permits."""

from __future__ import annotations

from collections.abc import Iterable

from cryptography import x509

from hsm.authority import Names


def names_in(certificate: x509.Certificate) -> Names:
    """The subject alternative names of a certificate; none where it has no such extension."""
    try:
        kind = x509.SubjectAlternativeName
        return _names(certificate.extensions.get_extension_for_class(kind).value)
    except x509.ExtensionNotFound:
        return Names()


def permitted_names(certificate: x509.Certificate) -> Names:
    """The names that an authority's certificate permits; none where it says nothing of them."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return Names()
    return _names(constraints.permitted_subtrees or ())


def _names(general: Iterable[x509.GeneralName]) -> Names:
    found = list(general)
    return Names(
        tuple(one.value for one in found if isinstance(one, x509.UniformResourceIdentifier)),
        tuple(one.value for one in found if isinstance(one, x509.DNSName)),
    )
