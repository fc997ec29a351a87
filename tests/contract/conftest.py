"""All three services at once."""

import grpc
import pytest

from tests.running import Running

Channels = dict[str, grpc.aio.Channel]


@pytest.fixture(scope="session")
def channels(attribution: Running, rewards: Running, notify: Running) -> Channels:
    """A channel to each service, by its name."""
    return {"attribution": attribution.channel, "rewards": rewards.channel, "notify": notify.channel}


@pytest.fixture(scope="session")
def targets(attribution: Running, rewards: Running, notify: Running) -> dict[str, str]:
    """host:port of each service, by its name."""
    return {"attribution": attribution.target, "rewards": rewards.target, "notify": notify.target}
