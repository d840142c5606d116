"""The same weights under the names of the original implementation."""

import pytest

from neuron_worker.whisper.weights import PACKAGED_MODEL, load_checkpoint
from tests.bench.weights import openai_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model.encoder.conv1.weight", "encoder.conv1.weight"),
        ("model.encoder.embed_positions.weight", "encoder.positional_embedding"),
        ("model.encoder.layers.3.self_attn.k_proj.weight", "encoder.blocks.3.attn.key.weight"),
        ("model.encoder.layers.0.fc1.bias", "encoder.blocks.0.mlp.0.bias"),
        ("model.encoder.layer_norm.bias", "encoder.ln_post.bias"),
        ("model.decoder.embed_tokens.weight", "decoder.token_embedding.weight"),
        (
            "model.decoder.layers.1.encoder_attn.out_proj.bias",
            "decoder.blocks.1.cross_attn.out.bias",
        ),
        (
            "model.decoder.layers.1.encoder_attn_layer_norm.weight",
            "decoder.blocks.1.cross_attn_ln.weight",
        ),
        ("model.decoder.layers.2.final_layer_norm.weight", "decoder.blocks.2.mlp_ln.weight"),
        ("model.decoder.layer_norm.weight", "decoder.ln.weight"),
    ],
)
def test_a_weight_is_called_what_the_original_calls_it(name: str, expected: str) -> None:
    assert openai_name(name) == expected


def test_every_weight_gets_a_name_of_its_own_without_a_trace_of_the_old() -> None:
    names = list(load_checkpoint(PACKAGED_MODEL).state)
    renamed = {openai_name(name) for name in names}

    assert len(renamed) == len(names)
    left = [name for name in renamed if "proj" in name or "layer" in name or "model." in name]
    assert left == []
