"""The model that a worker runs, loaded as its settings say."""

from neuron_worker.settings import RuntimeName, WorkerSettings
from neuron_worker.whisper.cpu import CpuRuntime
from neuron_worker.whisper.neuron import NeuronRuntime
from neuron_worker.whisper.runtime import Runtime, Shapes
from neuron_worker.whisper.transcriber import Transcriber
from neuron_worker.whisper.weights import load_checkpoint


def load(settings: WorkerSettings) -> Transcriber:
    """Load what was exported, or, on a CPU without an export, the checkpoint itself.

    Raises a WhisperError that says what is missing or wrong and what to do about it.
    """
    shapes = Shapes(settings.batch_size, settings.dtype, settings.step_tokens)
    runtime: Runtime = (
        NeuronRuntime() if settings.runtime is RuntimeName.NEURON else CpuRuntime(settings.threads)
    )
    if settings.artifacts is not None:
        return Transcriber(*runtime.load(settings.artifacts, settings.model, shapes))
    checkpoint = load_checkpoint(settings.model)
    return Transcriber(checkpoint, runtime.compile(checkpoint, shapes))
