"""Reading conversions."""

from upline.attribution.v1 import conversion_pb2

from chassis.errors import not_found
from chassis.pages import page_size
from services.attribution.queries import Reader
from services.attribution.store import conversions as store
from services.attribution.store.programs import load_program
from services.attribution.store.reversals import list_reversals
from services.attribution.wire.conversions import write_conversion
from services.attribution.wire.reversals import write_reversal


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
    message.reversals.extend(write_reversal(program.program_id, each) for each in reversals)
    return conversion_pb2.GetConversionResponse(conversion=message)


async def list_conversions(
    reader: Reader, request: conversion_pb2.ListConversionsRequest
) -> conversion_pb2.ListConversionsResponse:
    """Conversions in the order of recording, a page at a time."""
    position = reader.pager.position(request, request.page_token)
    size = page_size(request.page_size)
    async with reader.database.transaction() as conn:
        program = await load_program(conn, request.program_id)
        found = await store.list_conversions(
            conn,
            request.program_id,
            request.buyer_id,
            request.unattributed_only,
            position[0] if position else 0,
            size + 1,
        )
    page = found[:size]
    return conversion_pb2.ListConversionsResponse(
        conversions=[write_conversion(program.program_id, program.currency_code, each) for each in page],
        next_page_token=reader.pager.token(request, [page[-1].key]) if len(found) > size else "",
    )
