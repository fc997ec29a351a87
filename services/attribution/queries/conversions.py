"""Reading conversions."""

from dataclasses import dataclass

from chassis.errors import not_found
from chassis.pages import Portion
from services.attribution.domain.conversion import Conversion
from services.attribution.domain.reversal import Reversal
from services.attribution.queries.deps import QueryDeps
from services.attribution.store import conversions as conversion_store
from services.attribution.store.programs import load_program
from services.attribution.store.reversals import list_reversals


@dataclass(frozen=True, slots=True)
class ConversionHistory:
    """A conversion and all that was taken back of it."""

    currency_code: str
    """The program's."""
    conversion: Conversion
    reversals: Portion[Reversal]
    """Its reversals, in the order in which they were recorded."""


@dataclass(frozen=True, slots=True)
class ConversionPage:
    """Some conversions of a program."""

    currency_code: str
    """The program's."""
    conversions: Portion[Conversion]


async def get_conversion(deps: QueryDeps, program_id: str, conversion_id: str) -> ConversionHistory:
    """One conversion with its reversals. Raises NOT_FOUND if it is not recorded."""
    async with deps.database.transaction() as conn:
        program = await load_program(conn, program_id)
        found = await conversion_store.load_conversions(conn, program_id, [conversion_id])
        if conversion_id not in found:
            raise not_found("conversion", conversion_id)
        reversals = await list_reversals(conn, program_id, conversion_id)
    return ConversionHistory(program.currency_code, found[conversion_id], reversals)


async def list_conversions(
    deps: QueryDeps, program_id: str, buyer_id: str, after: int, limit: int, *, unattributed_only: bool
) -> ConversionPage:
    """The first conversions after key `after` in the order of recording; everybody's where no buyer is named."""
    async with deps.database.transaction() as conn:
        program = await load_program(conn, program_id)
        found = await conversion_store.list_conversions(conn, program_id, buyer_id, unattributed_only, after, limit)
    return ConversionPage(program.currency_code, found)
