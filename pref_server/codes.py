"""Passes a gateway's requests for codes and numbers on to the nation, and keeps its grants."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import grpc

from juki.domain.errors import JukiError, Reason
from juki.rpc.call import current_identity, seconds_left
from juki.rpc.errors import refusals_of_peer
from juki.rpc.identity import Identity
from juki.v1 import codes_pb2, codes_pb2_grpc
from pref_server.grants import GrantKeeper

_Response = TypeVar(
    "_Response",
    codes_pb2.AllotCodesResponse,
    codes_pb2.GenerateIndividualNumbersResponse,
    codes_pb2.RemakeIndividualNumberResponse,
)


class CodeForwarder(codes_pb2_grpc.CodeServiceServicer):
    """Served to the prefecture's gateways, each for its own municipality only."""

    def __init__(
        self,
        nation: codes_pb2_grpc.CodeServiceStub,
        grants: GrantKeeper,
        check_caller: Callable[[Identity, str], None],
    ) -> None:
        self._nation = nation
        self._grants = grants
        self._check_caller = check_caller

    def AllotCodes(  # noqa: N802 - the name of the contract
        self, request: codes_pb2.AllotCodesRequest, context: grpc.ServicerContext
    ) -> codes_pb2.AllotCodesResponse:
        """Passed on; the request id makes it safe to repeat."""
        self._check_caller(current_identity(), request.municipality)
        return self._passed_on(
            lambda: self._nation.AllotCodes(request, timeout=seconds_left(context)),
        )

    def GenerateIndividualNumbers(  # noqa: N802
        self, request: codes_pb2.GenerateIndividualNumbersRequest, context: grpc.ServicerContext
    ) -> codes_pb2.GenerateIndividualNumbersResponse:
        """Passed on; the same codes give the same numbers."""
        self._check_caller(current_identity(), request.municipality)
        return self._passed_on(
            lambda: self._nation.GenerateIndividualNumbers(request, timeout=seconds_left(context)),
        )

    def RemakeIndividualNumber(  # noqa: N802
        self, request: codes_pb2.RemakeIndividualNumberRequest, context: grpc.ServicerContext
    ) -> codes_pb2.RemakeIndividualNumberResponse:
        """Passed on; the same former number is replaced by the same number."""
        self._check_caller(current_identity(), request.municipality)
        return self._passed_on(
            lambda: self._nation.RemakeIndividualNumber(request, timeout=seconds_left(context)),
        )

    def _passed_on(self, ask: Callable[[], _Response]) -> _Response:
        """The nation's answer, its grant kept here before the gateway has it."""
        try:
            with refusals_of_peer():
                response = ask()
        except JukiError as error:
            if error.reason is not Reason.GRANTS_NOT_CONFIRMED:
                raise
            # The nation was started anew: it answers once it has heard from us.
            self._grants.confirm()
            with refusals_of_peer():
                response = ask()
        self._grants.keep(response.grant, response.certificates)
        response.ClearField("grant")
        response.ClearField("certificates")
        return response
