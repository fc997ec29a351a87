"""The migrated schema is the one that is written down, and says for itself what is in it."""

import pytest

from tests.conftest import Servers
from tools.generate_schema_sql import SERVICES, TARGET, describe, uncommented


def test_the_schema_is_the_one_that_is_written_down(servers: Servers) -> None:
    assert describe(servers.postgres.url) == TARGET.read_text(), "run `make schema`"


@pytest.mark.parametrize("service", SERVICES)
def test_every_table_column_sequence_and_function_has_a_comment(servers: Servers, service: str) -> None:
    assert uncommented(servers.postgres.url, service) == []
