"""The watch of connections, under which all tests run, finds who takes a second one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests import holding
from tests.holding import SecondConnectionError


async def test_a_second_connection_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def open_one(_database: object) -> AsyncIterator[None]:
        yield None

    monkeypatch.setattr(holding, "_transaction", open_one)
    first: Any = object()
    other: Any = object()
    async with holding._watched(first, "services.one"):
        async with holding._watched(other, "services.two"):
            pass
        with pytest.raises(SecondConnectionError, match=r"services\.two asks .* services\.one holds one"):
            async with holding._watched(first, "services.two"):
                pass
    async with holding._watched(first, "services.two"):
        pass
