from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers.models.whisper.configuration_whisper import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperForConditionalGeneration

from tests import neuron_chip

SPECIAL = (
    "<|endoftext|> <|startoftranscript|> <|en|> <|translate|> <|transcribe|> <|startoflm|>"
    " <|startofprev|> <|nospeech|> <|notimestamps|> <|0.00|>"
)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The directory of a checkpoint that computes in milliseconds."""
    directory = tmp_path_factory.mktemp("checkpoint")
    config = WhisperConfig(
        vocab_size=60,
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_source_positions=20,
        max_target_positions=24,
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=0,
        decoder_start_token_id=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        WhisperForConditionalGeneration(config).save_pretrained(directory)
    words = [f"word{index}" for index in range(50)]
    vocabulary = {word: index for index, word in enumerate([*words, *SPECIAL.split()])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="word0"))
    tokenizer.add_special_tokens(SPECIAL.split())
    tokenizer.save(str(directory / "tokenizer.json"))
    return str(directory)


@pytest.fixture
def chip(tmp_path: Path) -> Iterator[Path]:
    """The site of an installed stand-in with a chip of two cores."""
    with neuron_chip.installed(tmp_path / "neuron") as site:
        yield site
