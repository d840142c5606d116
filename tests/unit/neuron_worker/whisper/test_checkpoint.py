import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from neuron_worker.whisper.checkpoint import Checkpoint, Description, UnreadableDescriptionError
from neuron_worker.whisper.tokens import SpecialTokens


@pytest.fixture
def saved(base: Checkpoint, tmp_path: Path) -> Path:
    base.save(tmp_path)
    return tmp_path


def test_a_description_comes_back_without_the_weights(saved: Path, base: Checkpoint) -> None:
    loaded = Description.load(saved)
    assert not isinstance(loaded, Checkpoint)
    assert (loaded.name, loaded.revision) == (base.name, base.revision)
    assert loaded.config.to_dict() == base.config.to_dict()
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
        "print([name for name in ('neuron_worker.whisper.weights', 'safetensors')"
        " if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
