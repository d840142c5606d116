from collections.abc import Iterator

import pytest

from neuron_worker.audio import Decoder
from tests.media import KINDS, encoded, signal


@pytest.fixture(scope="session")
def files() -> dict[str, bytes]:
    """The test signal in every kind of file."""
    return {
        name: encoded(signal(rate, channels), container, codec, rate, bit_rate=bit_rate)
        for name, (container, codec, rate, channels, bit_rate) in KINDS.items()
    }


@pytest.fixture(scope="session")
def long_wav() -> bytes:
    """Ten minutes, 19 MB: much more than what is decoded ahead."""
    container, codec, rate, channels, _ = KINDS["wav"]
    return encoded(signal(rate, channels, seconds=600), container, codec, rate)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder() as decoder:
        yield decoder
