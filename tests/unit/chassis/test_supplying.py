"""How far a derived reader was supplied, whatever becomes of its stream."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from chassis.stream import Extent
from chassis.supplying import SupplyPosition

PAGES = 3
ROWS = 12
MADE = datetime(2026, 7, 1, tzinfo=UTC)
NEW = SupplyPosition("", 0, None, None, None, MADE)
Content = tuple[str, int]
"""A page of the history, or a row of the outbox."""


@dataclass
class Model:
    """A reader, its stream, and what the owner knows of both."""

    position: SupplyPosition = NEW
    made: datetime = MADE
    waiting: dict[int, set[Content]] = field(default_factory=dict)
    """The messages on the stream, by their numbers."""
    last: int = 0
    read: set[Content] = field(default_factory=set)

    def send(self) -> None:
        """The owner looks at the stream and sends what comes next."""
        first = min(self.waiting, default=self.last + 1)
        position = self.position.seen(Extent(self.made, first, self.last))
        if position.history_cursor is not None:
            page = int(position.history_cursor or 0)
            told = {("row", number) for number in range(1, position.sent_id + 1)}  # the tables hold what they tell
            self._put({("page", page), *told})
            position = replace(position, history_cursor=str(page + 1) if page + 1 < PAGES else None)
        elif position.sent_id < ROWS:
            position = replace(position, sent_id=position.sent_id + 1)
            self._put({("row", position.sent_id)})
        self.position = position
        if position.read_id is not None:
            assert self.read >= {("page", number) for number in range(PAGES)}
            assert self.read >= {("row", number) for number in range(1, position.read_id + 1)}

    def _put(self, content: set[Content]) -> None:
        self.last += 1
        self.waiting[self.last] = content

    def take(self, place: int) -> None:
        """The reader acknowledges a message, whichever it is done with first."""
        if self.waiting:
            self.read.update(self.waiting.pop(sorted(self.waiting)[place % len(self.waiting)]))

    def lose(self) -> None:
        """The broker loses the stream."""
        self.made += timedelta(seconds=1)
        self.waiting.clear()
        self.last = 0

    @property
    def is_at_rest(self) -> bool:
        """Whether the owner takes the reader to have everything."""
        return self.position.is_at_rest(ROWS)


@given(st.lists(st.one_of(st.just("send"), st.just("lose"), st.integers(0, 5)), max_size=60))
def test_nothing_is_taken_for_read_that_was_not(course: list[str | int]) -> None:
    model = Model()
    for step in course:
        if step == "send":
            model.send()
        elif step == "lose":
            model.lose()
        else:
            model.take(int(step))
    for _ in range(10 * (PAGES + ROWS)):
        model.send()
        model.take(0)
        model.take(0)
    assert model.is_at_rest
    assert model.read == {*(("page", number) for number in range(PAGES)), *(("row", n) for n in range(1, ROWS + 1))}


def test_a_reader_is_not_at_rest_before_it_has_read() -> None:
    model = Model()
    for _ in range(PAGES + ROWS + 3):
        model.send()
    assert model.position.sent_id == ROWS
    assert not model.is_at_rest
