"""The model that a worker runs, loaded as its settings say."""

from neuron_worker.settings import ModelSettings, RuntimeName
from neuron_worker.whisper.checkpoint import Description
from neuron_worker.whisper.cpu import CpuRuntime
from neuron_worker.whisper.neuron import NeuronRuntime
from neuron_worker.whisper.runtime import Runtime, Shapes
from neuron_worker.whisper.transcriber import Transcriber
from neuron_worker.whisper.weights import load_checkpoint


def load(settings: ModelSettings) -> Transcriber:
    """Load what was exported, or, on a CPU without an export, the checkpoint itself.

    Raises a WhisperError that says what is missing or wrong and what to do about it.
    """
    runtime, shapes = _runtime(settings), _shapes(settings)
    if settings.artifacts is not None:
        return Transcriber(*runtime.load(settings.artifacts, settings.model, shapes))
    checkpoint = load_checkpoint(settings.model)
    return Transcriber(checkpoint, runtime.compile(checkpoint, shapes))


def describe(settings: ModelSettings) -> Description:
    """What `load` would load, looked at without a device. Raises as it does."""
    if settings.artifacts is not None:
        runtime = _runtime(settings)
        return runtime.describe(settings.artifacts, settings.model, _shapes(settings))
    return load_checkpoint(settings.model)


def _runtime(settings: ModelSettings) -> Runtime:
    if settings.runtime is RuntimeName.NEURON:
        return NeuronRuntime()
    return CpuRuntime(settings.threads)


def _shapes(settings: ModelSettings) -> Shapes:
    return Shapes(settings.batch_size, settings.dtype, settings.step_tokens)
