"""Look whether an image holds all that its worker needs: `python -m neuron_worker verify`.

It goes as far as it can without a NeuronCore, an order and a network: all is imported, the compiled
model is found and fits what is installed, and a second of sound is decoded and searched for speech,
by the user that runs it. Which model it is, is said by a worker's own variables.
"""

import io
import platform
import wave
from contextlib import closing

import typer

from neuron_worker import model
from neuron_worker import settings as worker_settings
from neuron_worker.audio import AudioError, Decoder, DecoderBrokenError, DecoderNotStartedError
from neuron_worker.contract import ExitCode
from neuron_worker.settings import ModelSettings, WorkerMisconfigured
from neuron_worker.speech import SAMPLE_RATE, SpeechCutter
from neuron_worker.whisper.core import COMPILER, PLUGIN, version_of
from neuron_worker.whisper.errors import WhisperError

PACKAGES = ("torch", PLUGIN, COMPILER, "numpy", "onnxruntime", "av", "boto3")
"""Those whose versions tell one image from another."""


def main() -> ExitCode:
    """Say what is there; every fault is a sentence and an exit code."""
    try:
        settings = worker_settings.load(ModelSettings)
        found = model.describe(settings)
        _listen()
    except (
        WorkerMisconfigured,
        WhisperError,
        AudioError,
        DecoderBrokenError,
        DecoderNotStartedError,
    ) as error:
        typer.echo(f"error: {error}", err=True)
        return ExitCode.MISCONFIGURED
    typer.echo(f"{found.name} for {settings.runtime}, {settings.dtype}, of {found.revision}")
    typer.echo(f"batches of {settings.batch_size}, {settings.step_tokens} tokens a step")
    typer.echo(f"python {platform.python_version()}")
    for package in PACKAGES:
        typer.echo(f"{package} {version_of(package) or 'is not installed'}")
    return ExitCode.FINISHED


def _listen() -> None:
    """Decode a second of silence in the decoder's process, and search it for speech."""
    sound = io.BytesIO()
    with closing(wave.open(sound, "wb")) as file:
        file.setparams((1, 2, SAMPLE_RATE, SAMPLE_RATE, "NONE", ""))
        file.writeframes(bytes(2 * SAMPLE_RATE))
    cutter = SpeechCutter()
    with Decoder() as decoder, decoder.open(sound, max_seconds=60) as recording:
        for block in recording.blocks():
            list(cutter.push(block[0]))
    list(cutter.finish())
