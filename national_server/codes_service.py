"""The code service at the nation, and what the register asks of its tables."""

from __future__ import annotations

from collections.abc import Callable

import grpc
from prometheus_client import CollectorRegistry, Counter
from sqlalchemy import Connection

from juki.domain.codes import IndividualNumber, ResidentRecordCode
from juki.rpc.call import current_identity
from juki.rpc.identity import Identity
from juki.v1 import codes_pb2, codes_pb2_grpc
from national_server.callers import recipient
from national_server.code_pool import CodePool, municipality_of_codes
from national_server.confirmations import Confirmations
from national_server.grants import GrantBook, Serial
from national_server.number_registry import generated_codes, replacements
from national_server.numbers import NumberMaker


class NationalCodeRegistry:
    """Answers the register from the nation's own tables of codes and numbers."""

    def allotted(self, connection: Connection, code_blinds: set[bytes]) -> dict[bytes, str]:
        """The municipality that each of the codes was allotted to; unknown codes are left out."""
        return municipality_of_codes(connection, code_blinds)

    def generated(self, connection: Connection, number_blinds: set[bytes]) -> dict[bytes, bytes]:
        """For those of the numbers that were made: the blind code each was made from."""
        return generated_codes(connection, number_blinds)

    def replaced(self, connection: Connection, number_blinds: set[bytes]) -> dict[bytes, bytes]:
        """For those of the numbers that were replaced: the number each was replaced by."""
        return replacements(connection, number_blinds)


class CodeServicer(codes_pb2_grpc.CodeServiceServicer):
    """Served to the prefectural servers, each for its own municipalities."""

    def __init__(
        self,
        *,
        pool: CodePool,
        numbers: NumberMaker,
        grants: GrantBook,
        confirmations: Confirmations,
        check_caller: Callable[[Identity, str], None],
        registry: CollectorRegistry,
    ) -> None:
        self._pool = pool
        self._numbers = numbers
        self._grants = grants
        self._confirmations = confirmations
        self._check_caller = check_caller
        self._allotted = Counter(
            "juki_codes_allotted_total", "Resident record codes allotted.", registry=registry
        )
        self._made = Counter(
            "juki_individual_numbers_given_total",
            "Individual Numbers given to municipalities, made now or before.",
            registry=registry,
        )
        self._remade = Counter(
            "juki_individual_numbers_remade_total",
            "Answers to requests to re-make an Individual Number, made now or before.",
            registry=registry,
        )

    def AllotCodes(  # noqa: N802 - the name of the contract
        self, request: codes_pb2.AllotCodesRequest, context: grpc.ServicerContext
    ) -> codes_pb2.AllotCodesResponse:
        """Codes for one municipality; the same request id gives the same codes."""
        serial = self._begin(request.municipality)
        self._confirmations.require_everyone()
        codes = self._pool.allot(
            request.municipality, request.request_id, request.count, serial.take
        )
        self._allotted.inc(len(codes))
        grant = self._grants.signed(
            serial, request.municipality, request_id=request.request_id, codes=codes
        )
        return codes_pb2.AllotCodesResponse(
            resident_record_codes=[int(code) for code in codes],
            grant=grant,
            certificates=self._grants.certificates_of(grant),
        )

    def GenerateIndividualNumbers(  # noqa: N802
        self, request: codes_pb2.GenerateIndividualNumbersRequest, context: grpc.ServicerContext
    ) -> codes_pb2.GenerateIndividualNumbersResponse:
        """Numbers for codes of one municipality, in the order of the codes."""
        serial = self._begin(request.municipality)
        codes = [ResidentRecordCode.from_int(value) for value in request.resident_record_codes]
        numbers = self._numbers.make(request.municipality, codes, serial.take)
        self._made.inc(len(numbers))
        grant = self._grants.signed(
            serial, request.municipality, numbers=dict(zip(codes, numbers, strict=True))
        )
        return codes_pb2.GenerateIndividualNumbersResponse(
            individual_numbers=[int(number) for number in numbers],
            grant=grant,
            certificates=self._grants.certificates_of(grant),
        )

    def RemakeIndividualNumber(  # noqa: N802
        self, request: codes_pb2.RemakeIndividualNumberRequest, context: grpc.ServicerContext
    ) -> codes_pb2.RemakeIndividualNumberResponse:
        """Another number for one that may have leaked."""
        serial = self._begin(request.municipality)
        code = ResidentRecordCode.from_int(request.resident_record_code)
        former = IndividualNumber.from_int(request.former_individual_number)
        number = self._numbers.remake(
            request.municipality, request.request_id, code, former, serial.take
        )
        self._remade.inc()
        grant = self._grants.signed(
            serial,
            request.municipality,
            request_id=request.request_id,
            numbers={code: number},
            former=former,
        )
        return codes_pb2.RemakeIndividualNumberResponse(
            individual_number=int(number),
            grant=grant,
            certificates=self._grants.certificates_of(grant),
        )

    def _begin(self, municipality: str) -> Serial:
        """Checks the caller and that it may be given something; the serial of what it is given."""
        identity = current_identity()
        self._check_caller(identity, municipality)
        prefecture = recipient(identity)
        self._confirmations.require(prefecture)
        return Serial(prefecture)


class GrantServicer(codes_pb2_grpc.GrantServiceServicer):
    """Served to the prefectural servers, each for the grants given through it."""

    def __init__(self, grants: GrantBook, confirmations: Confirmations) -> None:
        self._grants = grants
        self._confirmations = confirmations

    def ConfirmGrants(  # noqa: N802
        self, request: codes_pb2.ConfirmGrantsRequest, context: grpc.ServicerContext
    ) -> codes_pb2.ConfirmGrantsResponse:
        """Takes back what was lost; once nothing is, the prefecture is confirmed."""
        prefecture = recipient(current_identity())
        if request.grants:
            self._grants.take_back(prefecture, request.grants, request.certificates)
        highest = self._grants.highest(prefecture)
        if highest < request.highest_serial:
            self._confirmations.lost(prefecture)
        else:
            self._confirmations.confirmed(prefecture)
        return codes_pb2.ConfirmGrantsResponse(
            highest_serial=highest, awaited_prefectures=self._confirmations.awaited_for_intake()
        )
