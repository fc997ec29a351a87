"""Bytes that are no request are the caller's mistake, and are told as such: a defect of the server is something else,
and its log has room for that only."""

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor

from tests.contract.conftest import Channels
from tests.contract.surface import METHODS, owner
from tests.contract.test_surface import name
from tests.errors import reason_of
from tests.running import DEADLINE_SECONDS

CUT_OFF = b"\x0a\x05half"
NOT_UTF_8 = b"\x0a\x02\xff\xfe\x12\x02\xff\xfe\x1a\x02\xff\xfe\x22\x02\xff\xfe"
"""Fields 1 to 4 of every request that has texts or messages there."""


@pytest.mark.parametrize("method", METHODS, ids=name)
@pytest.mark.parametrize("content", [CUT_OFF, NOT_UTF_8], ids=["cut off", "not UTF-8"])
async def test_bytes_that_are_no_request_are_invalid(
    method: MethodDescriptor, content: bytes, channels: Channels
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await send(channels[owner(method.containing_service)], method, content)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason_of(caught.value) == "NOT_A_REQUEST"
    assert method.input_type.full_name in (caught.value.details() or "")


async def send(channel: grpc.aio.Channel, method: MethodDescriptor, content: bytes) -> None:
    """Sends bytes to a method of whatever kind, and waits for its first answer."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    if method.client_streaming:
        await anext(aiter(channel.stream_stream(path)(iter([content]), timeout=DEADLINE_SECONDS)))
    elif method.server_streaming:
        await anext(aiter(channel.unary_stream(path)(content, timeout=DEADLINE_SECONDS)))
    else:
        await channel.unary_unary(path)(content, timeout=DEADLINE_SECONDS)
