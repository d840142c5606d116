from collections.abc import Iterator

import pytest

from tests.running import Cloud, Daemon, running_cloud


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def daemon(cloud: Cloud) -> Iterator[Daemon]:
    with cloud.daemon() as daemon:
        yield daemon
