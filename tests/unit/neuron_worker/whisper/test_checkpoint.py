import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from transformers.models.whisper.configuration_whisper import WhisperConfig

from neuron_worker.whisper.checkpoint import (
    Checkpoint,
    Description,
    ModelConfig,
    UnreadableDescriptionError,
)
from neuron_worker.whisper.tokens import SpecialTokens


@pytest.fixture
def saved(base: Checkpoint, tmp_path: Path) -> Path:
    base.save(tmp_path)
    return tmp_path


def test_a_description_comes_back_without_the_weights(saved: Path, base: Checkpoint) -> None:
    loaded = Description.load(saved)
    assert not isinstance(loaded, Checkpoint)
    assert (loaded.name, loaded.revision) == (base.name, base.revision)
    assert loaded.config == base.config
    assert loaded.generation == base.generation
    assert SpecialTokens.of(loaded.tokenizer) == SpecialTokens.of(base.tokenizer)
    assert sum(file.stat().st_size for file in saved.iterdir()) < 4 << 20


@pytest.mark.parametrize("text", [" Schöne Grüße, 你好, <|translate|> и всё.", ""])
def test_its_tokenizer_reads_and_writes_as_before(text: str, saved: Path, base: Checkpoint) -> None:
    tokenizer = Description.load(saved).tokenizer
    tokens = base.tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizer.encode(text, add_special_tokens=False).ids == tokens
    assert tokenizer.decode(tokens) == text


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("model.json", None, "model.json"),
        ("model.json", "{", "JSONDecodeError"),
        ("model.json", "[]", "TypeError"),
        ("model.json", json.dumps({"name": "base"}), "KeyError: 'revision'"),
        ("tokenizer.json", None, "no tokenizer.json in it"),
        ("tokenizer.json", "{", "tokenizer.json cannot be read"),
    ],
)
def test_a_damaged_description_is_told(
    file: str, content: str | None, told: str, saved: Path
) -> None:
    if content is None:
        (saved / file).unlink()
    else:
        (saved / file).write_text(content)
    with pytest.raises(UnreadableDescriptionError, match=told) as refused:
        Description.load(saved)
    assert str(saved) in str(refused.value)


def test_loading_a_description_reads_no_weights(saved: Path) -> None:
    """A slot's memory has no room for float32 weights beside a compiled model."""
    program = (
        "import sys; from pathlib import Path;"
        "from neuron_worker.whisper.checkpoint import Description;"
        f"Description.load(Path({str(saved)!r}));"
        "print([name for name in ('neuron_worker.whisper.weights', 'safetensors',"
        " 'transformers') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_what_a_configuration_leaves_out_is_as_in_transformers() -> None:
    theirs = WhisperConfig().to_dict()
    assert ModelConfig().to_dict() == {name: theirs[name] for name in ModelConfig().to_dict()}


def test_a_configuration_is_read_from_among_transformers_fields() -> None:
    theirs = WhisperConfig(d_model=512, decoder_layers=2, num_mel_bins=128)
    ours = ModelConfig.from_dict(theirs.to_dict())
    assert (ours.d_model, ours.decoder_layers, ours.num_mel_bins) == (512, 2, 128)


def test_a_configuration_of_words_is_refused() -> None:
    with pytest.raises(ValueError, match="d_model"):
        ModelConfig.from_dict({"d_model": "wide"})
