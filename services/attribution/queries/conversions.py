"""Reading conversions."""

from upline.attribution.v1 import conversion_pb2

from chassis.errors import not_found
from chassis.pages import Filling, fitting, page_size
from services.attribution.domain.conversion import Conversion
from services.attribution.queries import Reader
from services.attribution.store import conversions as store
from services.attribution.store.programs import load_program
from services.attribution.store.reversals import list_reversals
from services.attribution.wire.conversions import write_conversion
from services.attribution.wire.reversals import write_reversal

CONVERSIONS_AT_ONCE = 100
"""The number of conversions that are read together: a page ends at 2 MB, which few may fill, so not all that it might
have are read first."""


async def get_conversion(
    reader: Reader, request: conversion_pb2.GetConversionRequest
) -> conversion_pb2.GetConversionResponse:
    """One conversion with its reversals. NOT_FOUND if it is not recorded."""
    async with reader.database.transaction() as conn:
        program = await load_program(conn, request.program_id)
        found = await store.load_conversions(conn, request.program_id, [request.conversion_id])
        if request.conversion_id not in found:
            raise not_found("conversion", request.conversion_id)
        reversals = await list_reversals(conn, request.program_id, request.conversion_id)
    message = write_conversion(program.program_id, program.currency_code, found[request.conversion_id])
    told = (write_reversal(program.program_id, each) for each in reversals)
    message.reversals.extend(fitting(told))
    message.reversal_count = len(reversals)
    return conversion_pb2.GetConversionResponse(conversion=message)


async def list_conversions(
    reader: Reader, request: conversion_pb2.ListConversionsRequest
) -> conversion_pb2.ListConversionsResponse:
    """Conversions in the order of recording, a page at a time."""
    position = reader.pager.position(request, request.page_token)
    size = page_size(request.page_size)
    filling: Filling[conversion_pb2.Conversion] = Filling()
    found: list[Conversion] = []
    async with reader.database.transaction() as conn:
        program = await load_program(conn, request.program_id)
        after = position[0] if position else 0
        has_room = True
        while has_room and len(found) <= size:
            wanted = min(CONVERSIONS_AT_ONCE, size + 1 - len(found))
            some = await store.list_conversions(
                conn, request.program_id, request.buyer_id, request.unattributed_only, after, wanted
            )
            told = some[: size - len(found)]
            has_room = filling.take(write_conversion(program.program_id, program.currency_code, each) for each in told)
            found += some
            if len(some) < wanted:
                break
            after = some[-1].key
    return conversion_pb2.ListConversionsResponse(
        conversions=filling.messages,
        next_page_token=reader.pager.next_token(request, found, len(filling.messages), lambda last: [last.key]),
    )
