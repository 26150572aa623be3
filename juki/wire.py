"""Between the contract's messages and the domain's values."""

from __future__ import annotations

from juki.domain.codes import LocalGovernmentCode
from juki.domain.errors import InvalidValue
from juki.domain.four_items import Address, BirthDate, FourItems, PersonName, Sex
from juki.v1 import identification_pb2


def four_items_from_proto(
    message: identification_pb2.FourItems | identification_pb2.IdentificationInformation,
) -> FourItems:
    """The four items as a domain value; of identification information, its four items.

    Raises:
        InvalidValue: A part of it cannot be.
    """
    name, birth, address = message.name, message.birth_date, message.address
    try:
        sex = Sex(message.sex)
    except ValueError:
        raise InvalidValue("the sex is none that the register knows") from None
    return FourItems(
        PersonName(
            name.written, name.reading, name.alphabet, name.common_name, name.former_surname
        ),
        BirthDate(birth.year, birth.month, birth.day),
        sex,
        Address(LocalGovernmentCode(address.municipality), address.town, address.remainder),
    )


def four_items_to_proto(items: FourItems) -> identification_pb2.FourItems:
    """The four items as their message."""
    name, birth, address = items.name, items.birth_date, items.address
    return identification_pb2.FourItems(
        name=identification_pb2.PersonName(
            written=name.written,
            reading=name.reading,
            alphabet=name.alphabet,
            common_name=name.common_name,
            former_surname=name.former_surname,
        ),
        birth_date=identification_pb2.BirthDate(year=birth.year, month=birth.month, day=birth.day),
        sex=identification_pb2.Sex.ValueType(int(items.sex)),
        address=identification_pb2.Address(
            municipality=address.municipality.digits,
            town=address.town,
            remainder=address.remainder,
        ),
    )
