"""ConversionService."""

import grpc
from upline.attribution.v1 import conversion_pb2

from services.attribution import queries
from services.attribution.commands import Deps
from services.attribution.commands.conversions import record_conversion, record_conversions
from services.attribution.commands.reversals import reverse_conversions
from services.attribution.queries.conversions import get_conversion, list_conversions
from services.attribution.wire.conversions import read_conversion, write_conversion
from services.attribution.wire.reversals import read_reversal, write_reversal

Context = grpc.aio.ServicerContext[object, object]


class ConversionServicer:
    """Conversions and their reversals. Methods are named as the contract names them, which says the rest."""

    def __init__(self, deps: Deps, reader: queries.Reader) -> None:
        self._deps = deps
        self._reader = reader

    async def RecordConversion(
        self, request: conversion_pb2.RecordConversionRequest, _context: Context
    ) -> conversion_pb2.RecordConversionResponse:
        """See the contract."""
        program, conversion = await record_conversion(
            self._deps, request.program_id, lambda now: read_conversion(request.conversion, "conversion", now)
        )
        return conversion_pb2.RecordConversionResponse(
            conversion=write_conversion(program.program_id, program.currency_code, conversion)
        )

    async def RecordConversions(
        self, request: conversion_pb2.RecordConversionsRequest, _context: Context
    ) -> conversion_pb2.RecordConversionsResponse:
        """See the contract."""
        recorded = await record_conversions(
            self._deps,
            request.program_id,
            lambda now: [
                read_conversion(each, f"conversions[{place}]", now) for place, each in enumerate(request.conversions)
            ],
        )
        return conversion_pb2.RecordConversionsResponse(
            recorded_count=len(recorded.fresh),
            existing_count=recorded.existing_count,
            attributed_count=sum(1 for each in recorded.fresh if each.attribution.referrer_id),
        )

    async def ReverseConversion(
        self, request: conversion_pb2.ReverseConversionRequest, _context: Context
    ) -> conversion_pb2.ReverseConversionResponse:
        """See the contract."""
        done = await reverse_conversions(
            self._deps, request.program_id, lambda now: [read_reversal(request.reversal, "reversal", now)]
        )
        (reversal,) = done.fresh or done.existing
        return conversion_pb2.ReverseConversionResponse(reversal=write_reversal(request.program_id, reversal))

    async def ReverseConversions(
        self, request: conversion_pb2.ReverseConversionsRequest, _context: Context
    ) -> conversion_pb2.ReverseConversionsResponse:
        """See the contract."""
        done = await reverse_conversions(
            self._deps,
            request.program_id,
            lambda now: [
                read_reversal(each, f"reversals[{place}]", now) for place, each in enumerate(request.reversals)
            ],
        )
        return conversion_pb2.ReverseConversionsResponse(
            recorded_count=len(done.fresh), existing_count=len(request.reversals) - len(done.fresh)
        )

    async def GetConversion(
        self, request: conversion_pb2.GetConversionRequest, _context: Context
    ) -> conversion_pb2.GetConversionResponse:
        """See the contract."""
        return await get_conversion(self._reader, request)

    async def ListConversions(
        self, request: conversion_pb2.ListConversionsRequest, _context: Context
    ) -> conversion_pb2.ListConversionsResponse:
        """See the contract."""
        return await list_conversions(self._reader, request)
