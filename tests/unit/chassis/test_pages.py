"""Pages end by count or by bytes, and go on behind their last item."""

from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from upline.attribution.v1 import conversion_pb2

from chassis.pages import MAX_PAGE_SIZE, Filling, Pager, Portion, page_size

PAGER = Pager(b"key")
REQUEST = conversion_pb2.ListConversionsRequest(program_id="shop")


def conversion(size_bytes: int) -> conversion_pb2.ConversionDraft:
    """A message of about that many bytes."""
    return conversion_pb2.ConversionDraft(click_token="x" * size_bytes)


@given(sizes=st.lists(st.integers(0, 60), max_size=30), most=st.integers(1, 100))
def test_what_does_not_fit_is_left_for_the_next_answer(sizes: list[int], most: int) -> None:
    left = [conversion(each) for each in sizes]
    read: list[Message] = []
    while left:
        filling: Filling[conversion_pb2.ConversionDraft] = Filling(left_bytes=most)
        everything = filling.fill(left)
        told = filling.messages
        assert everything == (len(told) == len(left))
        assert len(told) == 1 or sum(each.ByteSize() for each in told) <= most
        assert everything or sum(each.ByteSize() for each in left[: len(told) + 1]) > most
        read += told
        left = left[len(told) :]
    assert read == [conversion(each) for each in sizes]


@given(count=st.integers(0, 12), size=st.integers(1, 5))
def test_every_item_is_on_one_page(count: int, size: int) -> None:
    items, read, token = list(range(count)), list[str](), ""
    while True:
        position = PAGER.position(REQUEST, token)
        found = [each for each in items if not position or each > position[0]][: size + 1]
        told, token = PAGER.page(
            REQUEST,
            Portion.whole(found),
            size,
            lambda each: conversion_pb2.ConversionDraft(code=str(each)),
            lambda last: [last],
        )
        assert len(told) <= size
        read += [each.code for each in told]
        if not token:
            break
    assert read == [str(each) for each in items]


def test_page_sizes_have_a_default_and_an_upper_bound() -> None:
    assert [page_size(each) for each in (0, 1, 1_000, 1_001, 2**31 - 1)] == [100, 1, 1_000, MAX_PAGE_SIZE, 1_000]
