"""Whether two persons of the register may turn out to be one, and what their claims then are.

A person entered elsewhere under a new code, before the code change is known here, stands as a
person of their own until the change arrives and joins the two.
"""

from __future__ import annotations

from juki.domain.change import TRANSITIONS, ChangeReason
from juki.register.held import HeldClaim, Person
from juki.register.values import RecordChange


def joined_claims(
    person: Person, other: Person, change: RecordChange
) -> dict[str, HeldClaim] | None:
    """The claims of both, or `None` where some municipality keeps the two apart.

    A municipality may have had the person twice, one record ended before the other's entry: then
    the later one is its claim. Whoever issues `change` cannot have held a second record before it,
    unless the change is to mend just that, ex officio.
    """
    claims = {**other.claims, **person.claims}
    for municipality in person.claims.keys() & other.claims.keys():
        if (
            municipality == change.municipality
            and change.reason is not ChangeReason.EX_OFFICIO_CODE_ENTRY
        ):
            return None
        earlier, later = sorted(
            (person.claims[municipality], other.claims[municipality]),
            key=lambda held: (held.epoch, held.sequence),
        )
        if earlier.claim.stands or later.claim.entered_by not in TRANSITIONS[earlier.claim.state]:
            return None
        claims[municipality] = later
    return claims
