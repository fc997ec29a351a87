"""ConversionService."""

from dataclasses import dataclass

from upline.attribution.v1 import conversion_pb2

from chassis.handlers import Context
from chassis.pages import Pager, fitting, page_size
from services.attribution.commands.conversions import record_conversion, record_conversions
from services.attribution.commands.deps import Deps
from services.attribution.commands.reversals import reverse_conversions
from services.attribution.queries.conversions import get_conversion, list_conversions
from services.attribution.queries.deps import QueryDeps
from services.attribution.wire.conversions import conversion_message, read_conversion
from services.attribution.wire.reversals import read_reversal, reversal_message


@dataclass(frozen=True, slots=True)
class ConversionServicer:
    """Conversions and their reversals. Methods are named as the contract names them, which says the rest."""

    service = conversion_pb2.DESCRIPTOR.services_by_name["ConversionService"]

    deps: Deps
    queries: QueryDeps
    pager: Pager

    async def RecordConversion(
        self, request: conversion_pb2.RecordConversionRequest, _context: Context
    ) -> conversion_pb2.RecordConversionResponse:
        now = self.deps.clock.now()
        draft = read_conversion(request.conversion, "conversion", now)
        program, conversion = await record_conversion(self.deps, request.program_id, draft, now)
        return conversion_pb2.RecordConversionResponse(
            conversion=conversion_message(program.program_id, program.currency_code, conversion)
        )

    async def RecordConversions(
        self, request: conversion_pb2.RecordConversionsRequest, _context: Context
    ) -> conversion_pb2.RecordConversionsResponse:
        now = self.deps.clock.now()
        drafts = [read_conversion(each, f"conversions[{index}]", now) for index, each in enumerate(request.conversions)]
        result = await record_conversions(self.deps, request.program_id, drafts, now)
        return conversion_pb2.RecordConversionsResponse(
            recorded_count=len(result.fresh),
            existing_count=result.existing_count,
            attributed_count=sum(1 for each in result.fresh if each.attribution.referrer_id),
        )

    async def ReverseConversion(
        self, request: conversion_pb2.ReverseConversionRequest, _context: Context
    ) -> conversion_pb2.ReverseConversionResponse:
        now = self.deps.clock.now()
        draft = read_reversal(request.reversal, "reversal", now)
        result = await reverse_conversions(self.deps, request.program_id, [draft], now)
        (reversal,) = result.fresh or result.existing
        return conversion_pb2.ReverseConversionResponse(reversal=reversal_message(request.program_id, reversal))

    async def ReverseConversions(
        self, request: conversion_pb2.ReverseConversionsRequest, _context: Context
    ) -> conversion_pb2.ReverseConversionsResponse:
        now = self.deps.clock.now()
        drafts = [read_reversal(each, f"reversals[{index}]", now) for index, each in enumerate(request.reversals)]
        result = await reverse_conversions(self.deps, request.program_id, drafts, now)
        return conversion_pb2.ReverseConversionsResponse(
            recorded_count=len(result.fresh), existing_count=len(drafts) - len(result.fresh)
        )

    async def GetConversion(
        self, request: conversion_pb2.GetConversionRequest, _context: Context
    ) -> conversion_pb2.GetConversionResponse:
        history = await get_conversion(self.queries, request.program_id, request.conversion_id)
        message = conversion_message(request.program_id, history.currency_code, history.conversion)
        message.reversals.extend(
            fitting(reversal_message(request.program_id, each) for each in history.reversals.items)
        )
        message.reversal_count = history.reversals.listed_count
        return conversion_pb2.GetConversionResponse(conversion=message)

    async def ListConversions(
        self, request: conversion_pb2.ListConversionsRequest, _context: Context
    ) -> conversion_pb2.ListConversionsResponse:
        position = self.pager.position(request, request.page_token)
        size = page_size(request.page_size)
        page = await list_conversions(
            self.queries,
            request.program_id,
            request.buyer_id,
            position[0] if position else 0,
            size + 1,
            unattributed_only=request.unattributed_only,
        )
        conversions, token = self.pager.page(
            request,
            page.conversions,
            size,
            lambda each: conversion_message(request.program_id, page.currency_code, each),
            lambda last: [last.key],
        )
        return conversion_pb2.ListConversionsResponse(conversions=conversions, next_page_token=token)
