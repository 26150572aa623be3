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
from national_server.code_pool import CodePool, municipality_of_codes
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
        pool: CodePool,
        numbers: NumberMaker,
        check_caller: Callable[[Identity, str], None],
        registry: CollectorRegistry,
    ) -> None:
        self._pool = pool
        self._numbers = numbers
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
        self._check_caller(current_identity(), request.municipality)
        codes = self._pool.allot(request.municipality, request.request_id, request.count)
        self._allotted.inc(len(codes))
        return codes_pb2.AllotCodesResponse(resident_record_codes=[int(code) for code in codes])

    def GenerateIndividualNumbers(  # noqa: N802
        self, request: codes_pb2.GenerateIndividualNumbersRequest, context: grpc.ServicerContext
    ) -> codes_pb2.GenerateIndividualNumbersResponse:
        """Numbers for codes of one municipality, in the order of the codes."""
        self._check_caller(current_identity(), request.municipality)
        codes = [ResidentRecordCode.from_int(value) for value in request.resident_record_codes]
        numbers = self._numbers.make(request.municipality, codes)
        self._made.inc(len(numbers))
        return codes_pb2.GenerateIndividualNumbersResponse(
            individual_numbers=[int(number) for number in numbers]
        )

    def RemakeIndividualNumber(  # noqa: N802
        self, request: codes_pb2.RemakeIndividualNumberRequest, context: grpc.ServicerContext
    ) -> codes_pb2.RemakeIndividualNumberResponse:
        """Another number for one that may have leaked."""
        self._check_caller(current_identity(), request.municipality)
        number = self._numbers.remake(
            request.municipality,
            request.request_id,
            ResidentRecordCode.from_int(request.resident_record_code),
            IndividualNumber.from_int(request.former_individual_number),
        )
        self._remade.inc()
        return codes_pb2.RemakeIndividualNumberResponse(individual_number=int(number))
