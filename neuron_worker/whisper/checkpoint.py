"""A Whisper checkpoint in memory, wherever it was read from, and what is known of it without."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import torch
from pydantic import TypeAdapter
from tokenizers import Tokenizer

from neuron_worker.whisper.errors import WhisperError

MULTILINGUAL_VOCABULARY_SIZE = 51_865
"""The smallest vocabulary of a multilingual Whisper; the English-only ones have 51,864 tokens.

Source: openai/whisper, model.py, `Whisper.is_multilingual`.
"""

MAX_INITIAL_TIMESTAMP_INDEX = 50
"""A window's first timestamp is at most 50 steps of 0.02 s, where the checkpoint says nothing else.

Source: openai/whisper, decoding.py, `DecodingOptions.max_initial_timestamp` (1.0 s).
"""

MODEL = "model.json"
"""The file of a saved description that holds all but the tokenizer."""

TOKENIZER = "tokenizer.json"
"""The file that holds the tokenizer, in a saved description as in any checkpoint's directory."""


class UnreadableDescriptionError(WhisperError):
    """{directory} does not describe a model: {problem}. Export the model to it again."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The shape of a model: the used part of transformers' WhisperConfig, by its names.

    config.json leaves out what is as in the defaults, which are transformers' own.
    """

    vocab_size: int = 51_865
    num_mel_bins: int = 80
    d_model: int = 384
    encoder_layers: int = 4
    encoder_attention_heads: int = 6
    encoder_ffn_dim: int = 1536
    decoder_layers: int = 4
    decoder_attention_heads: int = 6
    decoder_ffn_dim: int = 1536
    max_source_positions: int = 1500
    max_target_positions: int = 448

    @classmethod
    def from_dict(cls, said: Mapping[str, object]) -> Self:
        """What config.json says, but for its other fields; ValueError for what is no number."""
        return TypeAdapter(cls).validate_python(dict(said))

    def to_dict(self) -> dict[str, int]:
        """What `from_dict` takes."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Generation:
    """What a checkpoint says about decoding: the used part of transformers' GenerationConfig."""

    is_multilingual: bool
    suppress_tokens: tuple[int, ...]
    begin_suppress_tokens: tuple[int, ...]
    max_initial_timestamp_index: int = MAX_INITIAL_TIMESTAMP_INDEX
    alignment_heads: tuple[tuple[int, int], ...] = ()
    """(decoder layer, head) pairs whose cross-attention follows the audio."""
    language_tokens: tuple[int, ...] = ()
    """The tokens of the languages, where the checkpoint tells them; none of an English-only one."""


@dataclass(frozen=True, eq=False)
class Description:
    """All of a Whisper model but its weights: what runs a compiled model needs nothing more.

    `revision` names the weights for good.
    """

    name: str
    revision: str
    config: ModelConfig
    generation: Generation
    tokenizer: Tokenizer

    def save(self, directory: Path) -> None:
        """Write model.json and tokenizer.json into a directory that exists."""
        self.tokenizer.save(str(directory / TOKENIZER), pretty=False)
        said = {
            "name": self.name,
            "revision": self.revision,
            "config": self.config.to_dict(),
            "generation": asdict(self.generation),
        }
        (directory / MODEL).write_text(json.dumps(said, indent=1))

    @staticmethod
    def load(directory: Path) -> "Description":
        """Read what `save` wrote; UnreadableDescriptionError where that is not whole."""
        try:
            said = json.loads((directory / MODEL).read_bytes())
            return Description(
                name=said["name"],
                revision=said["revision"],
                config=ModelConfig.from_dict(said["config"]),
                generation=TypeAdapter(Generation).validate_python(said["generation"]),
                tokenizer=read_tokenizer(directory),
            )
        except (OSError, KeyError, TypeError, ValueError) as error:
            problem = f"{type(error).__name__}: {error}"
            raise UnreadableDescriptionError(directory=directory, problem=problem) from error


@dataclass(frozen=True, eq=False)
class Checkpoint(Description):
    """A Whisper model with its weights.

    `state` has the names of transformers' `WhisperForConditionalGeneration`, in float32, without
    `proj_out.weight`, which is the token embedding.
    """

    state: Mapping[str, torch.Tensor]


def read_tokenizer(directory: Path) -> Tokenizer:
    """The tokenizer.json of a directory; FileNotFoundError without one, ValueError if damaged."""
    file = directory / TOKENIZER
    if not file.is_file():
        raise FileNotFoundError(f"no {TOKENIZER} in it")
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # The library raises nothing more specific.
        raise ValueError(f"{TOKENIZER} cannot be read: {error}") from error
    # A prompt that spells a special token is text, never the token.
    tokenizer.encode_special_tokens = True
    return tokenizer
