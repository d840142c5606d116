import pytest

from tests.media import KINDS, encoded, signal


@pytest.fixture(scope="session")
def files() -> dict[str, bytes]:
    """The test signal in every kind of file."""
    return {
        name: encoded(signal(rate, channels), container, codec, rate, bit_rate=bit_rate)
        for name, (container, codec, rate, channels, bit_rate) in KINDS.items()
    }
