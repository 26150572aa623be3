"""What must hold for the demo to succeed: each a sentence, checked over the real network."""

from __future__ import annotations

from dataclasses import dataclass

import grpc

from juki.demo.story import People
from juki.domain.errors import Reason
from juki.localnet.network import LocalNetwork
from juki.rpc.errors import details_of
from juki.v1 import identification_pb2, lookup_pb2, lookup_pb2_grpc

NATIONAL_PENSION = lookup_pb2.AffairReference(table=1, item="77")
"""国民年金法: notices, decisions and payments of the National Pension."""

ALL_FIELDS = [
    lookup_pb2.FIELD_NAME,
    lookup_pb2.FIELD_BIRTH_DATE,
    lookup_pb2.FIELD_SEX,
    lookup_pb2.FIELD_ADDRESS,
    lookup_pb2.FIELD_RESIDENT_RECORD_CODE,
    lookup_pb2.FIELD_INDIVIDUAL_NUMBER,
    lookup_pb2.FIELD_CHANGE,
]


@dataclass(frozen=True, slots=True)
class Check:
    """One sentence and whether it held."""

    sentence: str
    held: bool
    shown: str = ""
    """What was seen."""


class PensionBody:
    """The Japan Pension Service asking the nation, and a body that asks beyond its affairs."""

    def __init__(self, network: LocalNetwork) -> None:
        self._pension = network.channel("agency-nenkin", "national")
        self._foreign = network.channel("agency-gaimu", "national")
        self.looked_up = 0
        self.calls = 0

    def close(self) -> None:
        """Closes both channels."""
        self._pension.close()
        self._foreign.close()

    def batch(self, numbers: list[str]) -> lookup_pb2.BatchLookupResponse:
        """One batch by Individual Number for the National Pension's affairs."""
        self.looked_up += len(numbers)
        self.calls += 1
        return lookup_pb2_grpc.LookupServiceStub(self._pension).BatchLookup(
            lookup_pb2.BatchLookupRequest(
                context=_context(f"demo-batch-{self.calls}", NATIONAL_PENSION),
                individual_numbers=lookup_pb2.IndividualNumberKeys(
                    values=[int(number) for number in numbers]
                ),
            ),
            timeout=60,
        )

    def refused_affair(self, number: str) -> Reason | None:
        """The foreign ministry asks for the pension's affair; the reason it is refused for."""
        self.calls += 1
        try:
            lookup_pb2_grpc.LookupServiceStub(self._foreign).Lookup(
                lookup_pb2.LookupRequest(
                    context=_context("demo-refused-1", NATIONAL_PENSION), individual_number=number
                ),
                timeout=60,
            )
        except grpc.RpcError as error:
            return details_of(error).reason
        return None


def _context(request_id: str, affair: lookup_pb2.AffairReference) -> lookup_pb2.LookupContext:
    return lookup_pb2.LookupContext(
        affair=affair,
        request_id=request_id,
        office="年金事業部",
        operator="demo",
        fields=ALL_FIELDS,
    )


def check_lookups(body: PensionBody, people: People, numbers: list[str]) -> list[Check]:
    """The batch, what it gives of the three people, what is withheld, and the refusal."""
    subjects = [people.born, people.moved, people.died]
    wanted = [one.individual_number for one in subjects] + numbers
    response = body.batch(wanted)
    results = list(response.results)
    found = sum(one.outcome == lookup_pb2.LOOKUP_OUTCOME_FOUND for one in results)
    born, moved, died = (one.information for one in results[:3])
    withheld = {lookup_pb2.Field.Name(one.field): one.article for one in response.withheld}
    code_given = any(one.information.resident_record_code for one in results)
    refused = body.refused_affair(people.moved.individual_number)
    return [
        Check(
            "the pension body gets an answer for every person it asked for",
            found == len(wanted),
            f"{found} of {len(wanted)} found",
        ),
        Check(
            "the newborn is known, with the number it was asked by",
            born.individual_number == people.born.individual_number
            and born.change.reason
            in (
                identification_pb2.CHANGE_REASON_BIRTH,
                identification_pb2.CHANGE_REASON_NUMBER_DESIGNATION,
            ),
            identification_pb2.ChangeReason.Name(born.change.reason),
        ),
        Check(
            "whoever moved is found at the new address, in the other prefecture",
            moved.address.municipality == "131130",
            f"municipality {moved.address.municipality}",
        ),
        Check(
            "the death is told with the record",
            died.change.reason == identification_pb2.CHANGE_REASON_DEATH,
            identification_pb2.ChangeReason.Name(died.change.reason),
        ),
        Check(
            "the resident record code is withheld and the provision named (Art. 30-9)",
            not code_given and withheld == {"FIELD_RESIDENT_RECORD_CODE": "30-9"},
            ", ".join(f"{field}: {article}" for field, article in withheld.items()),
        ),
        Check(
            "a body that is not registered for the affair is refused",
            refused is Reason.AFFAIR_NOT_GRANTED,
            str(refused),
        ),
    ]
