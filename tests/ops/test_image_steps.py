"""The images' steps, carried out: the daemon's and the worker's containers do their work."""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from daemon.cli.local_run import settings_document
from neuron_worker.contract import ExitCode, Options
from tests.clips import CLIPS, words_of
from tests.jobs import end_of, job
from tests.ops import context
from tests.ops.context import REPOSITORY
from tests.ops.dockerfile import Dockerfile
from tests.ops.image import Builder, Image
from tests.ops.scratch_root import needs_scratch_root
from tests.ops.stand_in import CHECKPOINT, is_missing, neuron_image, python_image, writable
from tests.running import Cloud, DaemonProcess, running_cloud

pytestmark = [needs_scratch_root, pytest.mark.timeout(900)]

HEALTH_PORT = ":9090/"

NO_PORT = "1"
"""Where nobody listens."""

CLIP = CLIPS[0]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build context."""
    folder = tmp_path_factory.mktemp("context")
    context.copy_to(folder)
    return folder


@pytest.fixture(scope="module")
def daemon_image(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    folder = tmp_path_factory.mktemp("daemon")
    dockerfile = Dockerfile.read(REPOSITORY / "daemon" / "Dockerfile")
    yield Builder(dockerfile, sources, python_image(folder / "base"), folder / "stages").build()
    shutil.rmtree(folder)


def variables(document: Mapping[str, Any]) -> dict[str, str]:
    """Settings as the environment variables of a container."""
    found = {}
    for name, value in document.items():
        if isinstance(value, dict):
            inner = variables({f"{name}__{key}": one for key, one in value.items()})
            found.update(inner)
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            found[f"WHISPER_FLEET_{name.upper()}"] = text
    return found


def check_health(image: Image, daemon: DaemonProcess, port: str) -> int:
    """What the image's own check says of a daemon with another port; its exit code."""
    words = [word.replace(HEALTH_PORT, f":{port}/") for word in image.health_check]
    assert words != list(image.health_check)
    return image.exec(daemon.process, *words)


def test_the_daemon_does_its_work_on_a_read_only_root_with_variables_alone(
    cloud: Cloud, daemon_image: Image
) -> None:
    settings = variables(settings_document(cloud.parts, "tiny.en"))
    given = settings | dict(cloud.parts.environment)
    process = daemon_image.start(given, read_only=True)
    daemon = DaemonProcess(process).wait_until_started()
    try:
        assert daemon.url.startswith("http://0.0.0.0:")
        assert daemon.get("/healthz") == (200, "ok")
        assert daemon.get("/readyz") == (200, "ok")
        assert check_health(daemon_image, daemon, daemon.url.rpartition(":")[2]) == 0
        assert check_health(daemon_image, daemon, NO_PORT) == 1

        cloud.send({"audio": cloud.put(CLIP.name, CLIP.content()), "request_id": "sentence"})
        assert cloud.fate("sentence").done

        assert daemon.terminate() == 0
    finally:
        daemon.close()


def test_a_container_without_settings_says_what_is_missing(daemon_image: Image) -> None:
    process = daemon_image.start({}, read_only=True)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert "error: The settings are wrong:" in told
    assert "/etc/whisper-fleet/daemon.toml: queues: Field required" in told
    assert "Traceback" not in told


def test_the_daemons_image_holds_what_it_needs_alone(daemon_image: Image) -> None:
    for module in ("torch", "numpy", "moto", "pip", "setuptools"):
        assert is_missing(daemon_image, module), module
    assert not is_missing(daemon_image, "aiohttp")
    assert writable(daemon_image, "/opt/whisper-fleet", "/etc/whisper-fleet") == ""


@pytest.fixture(scope="module")
def worker_image(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The worker's image with tiny.en, without the package that its weights came in."""
    folder = tmp_path_factory.mktemp("worker")
    base = neuron_image(folder / "base")
    dockerfile = Dockerfile.read(REPOSITORY / "neuron_worker" / "Dockerfile")
    arguments = {"MODEL": "tiny.en", "MODEL_REVISION": "", "BATCH": "2"}
    builder = Builder(dockerfile, sources, base, folder / "stages", arguments)
    image = builder.build()
    assert "tiny.en for neuron, bfloat16, of " in builder.log[-1]
    image.root.do("rm", f"/opt/base/site/{CHECKPOINT.replace('-', '_')}")
    yield image
    shutil.rmtree(folder)


def test_a_worker_needs_its_image_alone(cloud: Cloud, worker_image: Image) -> None:
    assert is_missing(worker_image, CHECKPOINT.replace("-", "_"))
    ours = job(cloud, (CLIP.name, CLIP.content(), Options()))
    order = str(cloud.ledger.open_order(ours.order.order_id))
    ended = end_of(worker_image.start({**cloud.parts.environment, "WHISPER_FLEET_ORDER": order}))
    assert ended.code == ExitCode.FINISHED, ended.log
    text = ours.transcript(ours.order.items()[0].request_id)["text"]
    assert words_of(text) == CLIP.words


def test_a_worker_asks_no_hub(worker_image: Image) -> None:
    program = (
        "from neuron_worker.whisper.weights import load_checkpoint; load_checkpoint('base.en')"
    )
    told = worker_image.run("python", "-c", program).stdout
    assert "outgoing traffic has been disabled" in told


def test_the_workers_image_holds_no_checkpoint_and_nothing_to_write_to(
    worker_image: Image,
) -> None:
    changes = worker_image.root.changes / "opt" / "whisper-fleet"
    [artifact] = (changes / "artifacts").iterdir()
    assert {file.name for file in artifact.iterdir()} == {
        "artifact.json",
        "alignment.pt",
        "encoder.pt",
        "model.json",
        "probe.safetensors",
        "step.pt",
        "tokenizer.json",
    }
    assert writable(worker_image, "/opt/whisper-fleet") == ""
    outside = {path.name for path in worker_image.root.changes.iterdir()}
    assert outside <= {"etc", "opt", "root", "tmp"}, "a cache is left, or a file of the compiler"
    assert not list((worker_image.root.changes / "tmp").iterdir())
