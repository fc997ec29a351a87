"""Every method of the contracts has a class, which says how many of its calls are answered at once."""

from collections.abc import Mapping

import pytest

from chassis.gates import CallClass
from services.attribution.rpc.classes import CLASSES as ATTRIBUTION
from services.notify.rpc.classes import CLASSES as NOTIFY
from services.rewards.rpc.classes import CLASSES as REWARDS
from tests.contract.surface import METHODS, owner


@pytest.mark.parametrize(
    ("service", "classes"), [("attribution", ATTRIBUTION), ("rewards", REWARDS), ("notify", NOTIFY)]
)
def test_every_method_has_a_class(service: str, classes: Mapping[str, CallClass]) -> None:
    methods = {
        f"{method.containing_service.name}.{method.name}": method.client_streaming or method.server_streaming
        for method in METHODS
        if owner(method.containing_service) == service
    }
    assert methods == {name: each is CallClass.STREAM for name, each in classes.items()}
