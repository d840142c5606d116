"""What can be said of the images by reading their Dockerfiles."""

import re
import subprocess
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from neuron_worker.settings import WorkerSettings
from tests.ops import context
from tests.ops.context import REPOSITORY
from tests.ops.dockerfile import Dockerfile
from tests.ops.locks import closure, imported, pins, required

FOLDERS = ("daemon", "neuron_worker")

HADOLINT = REPOSITORY / ".ops-venv" / "bin" / "hadolint"

BROUGHT = frozenset({"torch", "numpy", "protobuf"})
"""What the Neuron image has of what a worker needs, in the versions that its compiler goes with."""

SECRET = re.compile(r"SECRET|PASSWORD|TOKEN|CREDENTIAL|ACCESS_KEY|PRIVATE_KEY")


@pytest.fixture(params=FOLDERS)
def folder(request: pytest.FixtureRequest) -> Path:
    found: Path = REPOSITORY / request.param
    return found


@pytest.fixture
def dockerfile(folder: Path) -> Dockerfile:
    return Dockerfile.read(folder / "Dockerfile")


@pytest.mark.skipif(
    not HADOLINT.exists(), reason=f"{HADOLINT} is missing: make .ops-venv/installed"
)
def test_hadolint_finds_nothing(folder: Path) -> None:
    ran = subprocess.run(
        [HADOLINT, "--no-color", folder / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")


def test_base_images_have_a_version_and_room_for_a_digest(dockerfile: Dockerfile) -> None:
    [image] = set(dockerfile.images)
    tag = image.rpartition(":")[2]
    assert re.match(r"\d+\.\d+\.\d+-", tag), image
    digest = {"BASE_DIGEST": "sha256:1"}
    [pinned] = set(Dockerfile({**dockerfile.arguments, **digest}, dockerfile.stages).images)
    assert pinned == f"{image}@sha256:1"


def test_nobody_runs_it_as_root(dockerfile: Dockerfile) -> None:
    user = dockerfile.stages[-1].last("USER")
    assert user
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user.text), "numbers, which Kubernetes can check"


def test_signals_reach_the_program_itself(dockerfile: Dockerfile) -> None:
    final = dockerfile.stages[-1]
    for name in ("ENTRYPOINT", "CMD"):
        instruction = final.last(name)
        assert instruction
        assert instruction.array is not None, f"{name} {instruction.text}"


def test_nothing_is_downloaded_but_packages(dockerfile: Dockerfile) -> None:
    instructions = list(dockerfile.instructions)
    assert not [one.text for one in instructions if one.name == "ADD"]
    steps = [one.text for one in instructions if one.name == "RUN"]
    assert not [text for text in steps if re.search(r"\b(curl|wget|git|apt-get)\b|https?:", text)]


def test_packages_are_those_of_a_lock(dockerfile: Dockerfile) -> None:
    steps = " && ".join(one.text for one in dockerfile.instructions if one.name == "RUN")
    installs = [step for step in steps.split("&&") if re.search(r"\bpip\b.* install\b", step)]
    assert installs
    for step in installs:
        locked = ("--requirement", "requirements.lock", "--no-index")
        assert any(word in step for word in locked), step


def test_no_secret_is_asked_for(dockerfile: Dockerfile) -> None:
    given = [one.text for one in dockerfile.instructions if one.name in ("ARG", "ENV")]
    for text in (*dockerfile.arguments, *given):
        assert not SECRET.search(text.upper()), text


def test_workers_variables_are_those_that_a_worker_reads() -> None:
    final = Dockerfile.read(REPOSITORY / "neuron_worker" / "Dockerfile").stages[-1]
    known = {str(one.validation_alias) for one in WorkerSettings.model_fields.values()}
    given = {
        name for one in final.instructions if one.name == "ENV" for name in one.assignments({})
    }
    assert {name for name in given if name.startswith("WHISPER_FLEET_")} <= known


def test_the_context_is_what_the_dockerfiles_copy() -> None:
    wanted = {
        source
        for folder in FOLDERS
        for one in Dockerfile.read(REPOSITORY / folder / "Dockerfile").instructions
        if one.name == "COPY" and "from" not in one.flags
        for source in one.text.split()[:-1]
    }
    found = set(context.files())
    for source in wanted:
        assert any(f"{file}/".startswith(f"{source}/") for file in found), f"{source} is left out"
    for file in found:
        assert any(f"{file}/".startswith(f"{source}/") for source in wanted), f"{file} is not used"


def test_locks_have_the_versions_that_are_tested(folder: Path) -> None:
    tested = pins(REPOSITORY / "requirements.lock")
    for name, version in pins(folder / "requirements.lock").items():
        assert tested[name] == version, name


def test_the_daemons_lock_is_what_it_needs_and_no_more() -> None:
    needed = closure(required("options", "install_requires"), python_of("daemon"))
    assert set(pins(REPOSITORY / "daemon" / "requirements.lock")) == needed
    assert needed.isdisjoint({"torch", "numpy", "moto"})


def test_the_workers_lock_is_what_it_needs_beside_the_base_image_and_no_more() -> None:
    needed = closure(
        imported(REPOSITORY / "neuron_worker"), python_of("neuron_worker"), brought=BROUGHT
    )
    assert set(pins(REPOSITORY / "neuron_worker" / "requirements.lock")) == needed


def test_what_the_worker_imports_is_required_by_setup_cfg() -> None:
    declared = {
        *required("options", "install_requires"),
        *required("options.extras_require", "worker"),
    }
    known = closure(declared, python_of("neuron_worker"))
    assert {canonicalize_name(one.name) for one in imported(REPOSITORY / "neuron_worker")} <= known


def python_of(folder: str) -> str:
    """The version of Python in an image, by its base's tag."""
    tag = Dockerfile.read(REPOSITORY / folder / "Dockerfile").arguments["BASE_TAG"]
    named = re.search(r"-py(\d)(\d+)-", tag) or re.match(r"(\d+)\.(\d+)\.", tag)
    assert named, tag
    return f"{named[1]}.{named[2]}"
