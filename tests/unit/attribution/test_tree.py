"""The tree as a batch sees it, against a plain model."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.attribution.domain.tree import PATH_LEVELS, CycleError, Forest


def ancestors(sponsors: dict[int, int], key: int) -> list[int]:
    """The ancestors by the model: follow the sponsors."""
    found = []
    while key in sponsors:
        key = sponsors[key]
        found.append(key)
    return found


@settings(deadline=None)
@given(st.data())
def test_binds_and_grafts_agree_with_the_model(data: st.DataObject) -> None:
    stored = {key: data.draw(st.integers(0, key - 1)) for key in range(1, 12) if data.draw(st.booleans())}
    forest = Forest(
        {key: tuple(ancestors(stored, key)) for key in range(12)},
        {key: ([key, *ancestors(stored, key)])[-1] for key in range(12)},
    )
    sponsors = dict(stored)
    for new in range(12, 12 + data.draw(st.integers(0, 20))):
        sponsor = data.draw(st.integers(0, new - 1))
        if data.draw(st.booleans()):
            forest.plant(new)
            forest.graft(new, sponsor)
            sponsors[new] = sponsor
        else:
            forest.plant(new)
            root = data.draw(st.sampled_from([key for key in range(new + 1) if key not in sponsors]))
            if root == sponsor or root in ancestors(sponsors, sponsor):
                with pytest.raises(CycleError):
                    forest.bind(root, sponsor)
            else:
                forest.bind(root, sponsor)
                sponsors[root] = sponsor
        for key in range(new + 1):
            assert list(forest.path(key)) == ancestors(sponsors, key)


def test_paths_stop_at_their_limit() -> None:
    forest = Forest({0: ()}, {0: 0})
    for key in range(1, 200):
        forest.plant(key)
        forest.graft(key, key - 1)
    assert forest.path(199) == tuple(range(198, 198 - PATH_LEVELS, -1))
    with pytest.raises(CycleError):
        forest.bind(0, 199)
