"""Real weights, real speech, and transformers' own Whisper to measure against."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
import torch
from transformers.models.whisper.configuration_whisper import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperForConditionalGeneration

from neuron_worker.speech import SAMPLE_RATE, SpeechCutter, Window
from neuron_worker.whisper.checkpoint import Checkpoint, Generation, ModelConfig
from neuron_worker.whisper.cpu import CpuModel, CpuRuntime
from neuron_worker.whisper.graphs import Encoder
from neuron_worker.whisper.neuron import NeuronRuntime
from neuron_worker.whisper.runtime import Shapes
from neuron_worker.whisper.weights import load_checkpoint
from tests import neuron_chip

RECORDINGS = Path(__file__).parents[3] / "recordings"
REFERENCES = RECORDINGS / "references.json"


def _decode(name: str) -> npt.NDArray[np.float32]:
    resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE)
    with av.open(str(RECORDINGS / name)) as container:
        frames = [f for frame in container.decode(audio=0) for f in resampler.resample(frame)]
    return np.concatenate([f.to_ndarray()[0] for f in (*frames, *resampler.resample(None))])


@pytest.fixture(scope="session")
def speech() -> list[Window]:
    """Both announcements of the harbour, 10 s and 8 s, and the weather up to a pause at 27 s."""
    harbour, weather = map(_decode, ("harbour.flac", "weather.mp3"))
    return [
        Window(0.0, harbour[: 10 * SAMPLE_RATE]),
        Window(30.25, harbour[int(30.25 * SAMPLE_RATE) :]),
        Window(0.0, weather[: 27 * SAMPLE_RATE]),
    ]


@pytest.fixture(scope="session")
def full_window() -> Window:
    """Thirty seconds of the weather: speech up to the end."""
    return Window(0.0, _decode("weather.mp3")[: 30 * SAMPLE_RATE])


@pytest.fixture(scope="session")
def references() -> list[str]:
    """What is said in the windows of `speech`."""
    texts = {r["file"]: r["text"] for r in json.loads((RECORDINGS / "references.json").read_text())}
    first, second, third = texts["harbour.flac"].partition("Thank you for waiting.")
    weather, last_words, _ = texts["weather.mp3"].partition("has passed.")
    return [first, second + third, weather + last_words]


@pytest.fixture(scope="session")
def tiny_en() -> Checkpoint:
    return load_checkpoint("tiny.en")


@pytest.fixture(scope="session")
def transformers_tiny_en(tiny_en: Checkpoint) -> WhisperForConditionalGeneration:
    """tiny.en as transformers runs it."""
    return _with_weights(tiny_en)


@pytest.fixture(scope="session")
def small_config() -> WhisperConfig:
    """A Whisper that computes in milliseconds: a second of audio, a vocabulary of 180."""
    return WhisperConfig(
        vocab_size=180,
        d_model=64,
        encoder_layers=2,
        decoder_layers=3,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=128,
        decoder_ffn_dim=128,
        max_source_positions=50,
        max_target_positions=48,
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=0,
        decoder_start_token_id=1,
        init_std=0.3,
    )


@pytest.fixture(scope="session")
def transformers_small(small_config: WhisperConfig) -> WhisperForConditionalGeneration:
    """A small Whisper of random weights as transformers makes and runs it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return WhisperForConditionalGeneration(small_config).eval()


@pytest.fixture(scope="session")
def small(transformers_small: WhisperForConditionalGeneration, tiny_en: Checkpoint) -> Checkpoint:
    """The small Whisper as a checkpoint; its tokenizer belongs to another model."""
    state = transformers_small.state_dict()
    return Checkpoint(
        name="small",
        revision="1",
        config=ModelConfig.from_dict(transformers_small.config.to_dict()),
        generation=Generation(False, (), ()),
        state={name: tensor for name, tensor in state.items() if name != "proj_out.weight"},
        tokenizer=tiny_en.tokenizer,
    )


@pytest.fixture(scope="session")
def with_weights() -> Callable[[Checkpoint], WhisperForConditionalGeneration]:
    """Makes transformers' model of a checkpoint."""
    return _with_weights


def _with_weights(checkpoint: Checkpoint) -> WhisperForConditionalGeneration:
    model = WhisperForConditionalGeneration(WhisperConfig(**checkpoint.config.to_dict()))
    missing, unexpected = model.load_state_dict(dict(checkpoint.state), strict=False)
    assert (missing, unexpected) == (["proj_out.weight"], [])
    model.tie_weights()
    return model.eval()


@pytest.fixture(scope="session")
def base() -> Checkpoint:
    """The multilingual model."""
    return load_checkpoint("base")


@pytest.fixture(scope="session")
def transformers_base(base: Checkpoint) -> WhisperForConditionalGeneration:
    """base as transformers runs it."""
    return _with_weights(base)


@pytest.fixture(scope="session")
def foreign_speech() -> list[tuple[Window, str, str]]:
    """Announcements of 9 s and 10 s in other languages, each with its language and text."""
    folder = RECORDINGS / "languages"
    return [
        (Window(0.0, _decode(f"languages/{one['file']}")), one["language"], one["text"])
        for one in json.loads((folder / "references.json").read_text())
    ]


@pytest.fixture(scope="session")
def recordings() -> dict[str, list[Window]]:
    """Every window of every recording, as the worker cuts them."""
    names = [reference["file"] for reference in json.loads(REFERENCES.read_text())]
    windows = dict[str, list[Window]]()
    for name in names:
        cutter = SpeechCutter()
        windows[name] = [*cutter.push(_decode(name)), *cutter.finish()]
    return windows


@pytest.fixture(scope="session")
def recording_texts() -> dict[str, str]:
    """What is said in every recording."""
    return {one["file"]: one["text"] for one in json.loads(REFERENCES.read_text())}


class RememberingEncoder(Encoder):
    """An encoder that hears each window once, however many tests and rows hear it again.

    It costs most of a window's time, and `test_graphs.py` compares it with transformers'.
    """

    heard: dict[bytes, tuple[torch.Tensor, ...]]

    def forward(self, mel: torch.Tensor) -> tuple[torch.Tensor, ...]:
        key = hashlib.sha256(mel.numpy().tobytes()).digest()
        if key not in self.heard:
            self.heard[key] = super().forward(mel)
        return self.heard[key]


@pytest.fixture(scope="session")
def compiled() -> Callable[[Checkpoint, int], CpuModel]:
    """Makes CPU models of a batch size; those of one checkpoint remember what they heard."""
    heard = defaultdict[str, dict[bytes, tuple[torch.Tensor, ...]]](dict)

    def compile_(checkpoint: Checkpoint, batch_size: int) -> CpuModel:
        model = CpuRuntime().compile(checkpoint, Shapes(batch_size))
        model._encoder = encoder = RememberingEncoder(model._whisper)
        encoder.heard = heard[checkpoint.name]
        return model

    return compile_


@pytest.fixture(scope="session")
def multilingual(tiny_en: Checkpoint) -> Checkpoint:
    """A multilingual Whisper as it comes from the factory: small, and of random weights.

    It takes a second of audio, has a context of 32 tokens and knows tiny.en's vocabulary.
    """
    config = replace(
        tiny_en.config,
        d_model=48,
        encoder_layers=1,
        encoder_ffn_dim=48,
        decoder_layers=1,
        decoder_ffn_dim=48,
        max_source_positions=50,
        max_target_positions=32,
    )
    generator = torch.Generator().manual_seed(4)
    kept = ("layers.1.", "layers.2.", "layers.3.")
    sizes = {384: 48, 1536: 48, 448: 32, 1500: 50}
    state = {
        name: torch.randn([sizes.get(n, n) for n in tensor.shape], generator=generator)
        for name, tensor in tiny_en.state.items()
        if not any(layer in name for layer in kept)
    }
    # What is heard must outweigh the embedding of the one token that is fed.
    state["model.decoder.layers.0.encoder_attn.out_proj.weight"] *= 100
    generation = replace(tiny_en.generation, is_multilingual=True, alignment_heads=())
    return replace(tiny_en, name="many", config=config, state=state, generation=generation)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """As the worker's runtime has it; where cores are shared, more threads wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def exported(small: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that holds the small model, compiled by the stand-in for torch-neuronx."""
    directory = tmp_path_factory.mktemp("exported")
    with neuron_chip.installed(tmp_path_factory.mktemp("neuron")):
        NeuronRuntime().export(small, neuron_chip.SHAPES, directory)
    return directory


@pytest.fixture
def chip(tmp_path: Path) -> Iterator[Path]:
    """The site of an installed stand-in with a chip of two cores."""
    with neuron_chip.installed(tmp_path / "neuron") as site:
        yield site
