"""Read a CTranslate2 Whisper directory into the Hugging Face layout."""

import json
import mmap
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from shutil import copyfileobj

import torch

from neuron_worker.whisper.checkpoint import (
    MULTILINGUAL_VOCABULARY_SIZE,
    Generation,
    ModelConfig,
)
from neuron_worker.whisper.errors import UnreadableModelError

BINARY_VERSION = 6
"""The layout of model.bin since CTranslate2 2.0 (OpenNMT/CTranslate2, specs/model_spec.py)."""

SPECIFICATION = "WhisperSpec"
"""What model.bin of a Whisper model calls itself (specs/whisper_spec.py)."""

WEIGHT_TYPES = {0: torch.float32, 4: torch.float16, 5: torch.bfloat16}
"""Type codes of unquantised weights (include/ctranslate2/types.h, `DataType`)."""

INTEGER_TYPES = {1: torch.int8, 2: torch.int16, 3: torch.int32}
"""Type codes of flags and counts; as weights they would be quantised."""

_LAYER_PARTS = {
    "self_attention/layer_norm": ("self_attn_layer_norm",),
    "self_attention/linear_0": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "self_attention/linear_1": ("self_attn.out_proj",),
    "attention/layer_norm": ("encoder_attn_layer_norm",),
    "attention/linear_0": ("encoder_attn.q_proj",),
    "attention/linear_1": ("encoder_attn.k_proj", "encoder_attn.v_proj"),
    "attention/linear_2": ("encoder_attn.out_proj",),
    "ffn/layer_norm": ("final_layer_norm",),
    "ffn/linear_0": ("fc1",),
    "ffn/linear_1": ("fc2",),
}
_STACK_PARTS = {
    "conv1": "conv1",
    "conv2": "conv2",
    "embeddings": "embed_tokens",
    "position_encodings": "embed_positions",
    "layer_norm": "layer_norm",
}
_ENDINGS = {"weight": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}
_LAYER_NAME = re.compile(r"(encoder|decoder)/layer_(\d+)/(.+)/(\w+)")
_STACK_NAME = re.compile(r"(encoder|decoder)/(\w+)/(\w+)")


def read_variables(files: Sequence[Path]) -> dict[str, torch.Tensor]:
    """All variables of a model.bin by their CTranslate2 names, as views of its bytes.

    `files` is the one file, which is mapped, or its parts in order, which are joined in memory.
    Raises UnreadableModelError when it is no Whisper model of the known binary version.
    """
    try:
        return dict(_variables(_joined(files)))
    except (OSError, ValueError, struct.error, UnicodeDecodeError) as error:
        names = " + ".join(file.name for file in files)
        problem = f"{names}: {error}"
        raise UnreadableModelError(directory=files[0].parent, problem=problem) from error


def _joined(files: Sequence[Path]) -> mmap.mmap:
    if len(files) == 1:
        with files[0].open("rb") as stream:
            # A private map: PyTorch wants writable memory, the file stays as it is.
            return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
    joined = mmap.mmap(-1, sum(file.stat().st_size for file in files))
    for file in files:
        with file.open("rb") as stream:
            copyfileobj(stream, joined)
    return joined


def _variables(data: mmap.mmap) -> Iterator[tuple[str, torch.Tensor]]:
    offset = 0

    def number(code: str) -> int:
        nonlocal offset
        (value,) = struct.unpack_from(f"<{code}", data, offset)
        offset += struct.calcsize(code)
        return int(value)

    def text() -> str:
        nonlocal offset
        length = number("H")
        offset += length
        return data[offset - length : offset - 1].decode()

    if (version := number("I")) != BINARY_VERSION:
        raise ValueError(f"binary version {version}, only {BINARY_VERSION} is known")
    if (specification := text()) != SPECIFICATION:
        raise ValueError(f"a {specification!r} model, not a Whisper model")
    number("I")
    types = WEIGHT_TYPES | INTEGER_TYPES
    for _ in range(number("I")):
        name = text()
        shape = [number("I") for _ in range(number("B"))]
        code, size = number("B"), number("I")
        if code not in types:
            raise ValueError(f"variable {name} has the unknown type {code}")
        dtype = types[code]
        tensor = torch.frombuffer(data, dtype=dtype, count=size // dtype.itemsize, offset=offset)
        yield name, tensor.reshape(shape)
        offset += size


def to_hugging_face(variables: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename and split CTranslate2's variables into transformers' float32 state dict.

    Fused projections (q|k|v, k|v) are split; the bias of k, which CTranslate2 stores as zeros, is
    left out, because Whisper's k projection has none. Flags and counts are left out. ValueError
    for quantised weights.
    """
    state: dict[str, torch.Tensor] = {}
    for name, tensor in variables.items():
        if name.endswith("weight_scale") or (tensor.ndim > 1 and not tensor.is_floating_point()):
            raise ValueError(f"{name} is quantised; convert with --quantization float16 or float32")
        if match := _LAYER_NAME.fullmatch(name):
            stack, layer, part, ending = match.groups()
            targets = tuple(f"layers.{layer}.{target}" for target in _LAYER_PARTS[part])
        elif (match := _STACK_NAME.fullmatch(name)) and match[2] in _STACK_PARTS:
            stack, part, ending = match.groups()
            targets = (_STACK_PARTS[part],)
        else:
            continue
        ending = _ENDINGS.get(ending, "weight")
        for target, rows in zip(targets, tensor.chunk(len(targets)), strict=True):
            if not (target.endswith("k_proj") and ending == "bias"):
                state[f"model.{stack}.{target}.{ending}"] = rows.float()
    return state


def configuration(variables: Mapping[str, torch.Tensor]) -> ModelConfig:
    """The ModelConfig that the variables' names, shapes and `num_heads` imply."""
    vocabulary_size, width = variables["decoder/embeddings/weight"].shape
    layers = {
        stack: sum(name.startswith(f"{stack}/layer_") for name in variables)
        // sum(name.startswith(f"{stack}/layer_0/") for name in variables)
        for stack in ("encoder", "decoder")
    }
    return ModelConfig(
        vocab_size=vocabulary_size,
        num_mel_bins=variables["encoder/conv1/weight"].shape[1],
        d_model=width,
        encoder_layers=layers["encoder"],
        decoder_layers=layers["decoder"],
        encoder_attention_heads=int(variables["encoder/num_heads"]),
        decoder_attention_heads=int(variables["decoder/num_heads"]),
        encoder_ffn_dim=variables["encoder/layer_0/ffn/linear_0/weight"].shape[0],
        decoder_ffn_dim=variables["decoder/layer_0/ffn/linear_0/weight"].shape[0],
        max_source_positions=variables["encoder/position_encodings/encodings"].shape[0],
        max_target_positions=variables["decoder/position_encodings/encodings"].shape[0],
    )


def generation(directory: Path, vocabulary_size: int) -> Generation:
    """What CTranslate2's config.json says about decoding.

    Its converter lists languages for English-only models too, by other models' tokens; they are
    left out.
    """
    said = json.loads((directory / "config.json").read_bytes())
    multilingual = vocabulary_size >= MULTILINGUAL_VOCABULARY_SIZE
    return Generation(
        is_multilingual=multilingual,
        suppress_tokens=tuple(said["suppress_ids"]),
        begin_suppress_tokens=tuple(said["suppress_ids_begin"]),
        alignment_heads=tuple((layer, head) for layer, head in said.get("alignment_heads", ())),
        language_tokens=tuple(said.get("lang_ids", ())) if multilingual else (),
    )
