"""Changing the PINs of the root's token, so that an interruption leaves them known.

The next PIN is sealed before the token learns it; whoever finds one sealed asks the token which of
the two it knows.
"""

from __future__ import annotations

from collections.abc import Callable

from hsm.host_files import ROOT_HOST, host_files
from hsm.plan import ProvisioningPlan
from hsm.sealed_pins import SealedPins
from hsm.token import TokenLocation
from hsm.token_making import change_pin, pin_is_right

_NEXT = " (next)"
_SECURITY_OFFICER = f"security officer of {ROOT_HOST}"
_NAMES = (ROOT_HOST, _SECURITY_OFFICER)


def change_root_pins(
    plan: ProvisioningPlan, pins: SealedPins, random_pin: Callable[[], str]
) -> None:
    """New PINs for the root's user and its security officer."""
    for name in _NAMES:
        pins.put(name + _NEXT, random_pin())
        is_officer = name == _SECURITY_OFFICER
        change_pin(_location(plan), pins.get(name), pins.get(name + _NEXT), is_officer=is_officer)
        pins.move(name + _NEXT, name)


def settle_root_pins(plan: ProvisioningPlan, pins: SealedPins) -> None:
    """End a change that was interrupted: the token says which PIN it knows."""
    for name in _NAMES:
        if name + _NEXT not in pins.names():
            continue
        is_officer = name == _SECURITY_OFFICER
        if pin_is_right(_location(plan), pins.get(name + _NEXT), is_officer=is_officer):
            pins.move(name + _NEXT, name)
        else:
            pins.remove(name + _NEXT)


def _location(plan: ProvisioningPlan) -> TokenLocation:
    return host_files(plan.directory, ROOT_HOST).token(plan.module, ROOT_HOST)
