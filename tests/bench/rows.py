"""The rows of the table: which engine runs with which settings on which layout of the weights."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One engine with its settings; a comma would end its name where engines are chosen.

    `module` stands in `engines/`; `layout` names the weights' layout as `weights` does. A slow row
    hears only the opening of each file.
    """

    name: str
    module: str
    layout: str
    settings: tuple[str, ...] = ()
    slow: bool = False

    @property
    def is_ours(self) -> bool:
        """Whether it runs with the project's own packages, not with the peers'."""
        return self.module == "worker"


FLOAT32 = ("--weights", "float32")
INT8 = ("--weights", "int8")

ROWS = (
    Row("this worker float32", "worker", "worker", FLOAT32),
    Row("this worker int8", "worker", "worker", INT8),
    Row("faster-whisper float32", "faster_whisper", "ctranslate2", FLOAT32),
    Row("faster-whisper int8", "faster_whisper", "ctranslate2", INT8),
    Row(
        "faster-whisper batched float32",
        "faster_whisper",
        "ctranslate2",
        (*FLOAT32, "--batched"),
    ),
    Row("faster-whisper batched int8", "faster_whisper", "ctranslate2", (*INT8, "--batched")),
    Row(
        "faster-whisper batched int8 timestamps",
        "faster_whisper",
        "ctranslate2",
        (*INT8, "--batched", "--timestamps"),
    ),
    Row("openai-whisper", "openai_whisper", "openai"),
    Row("transformers pipeline timestamps", "transformers_pipeline", "hugging_face"),
    Row("transformers generate long-form", "transformers_generate", "hugging_face"),
    Row("public sample's decoding", "sample", "hugging_face", slow=True),
)


def chosen(engines: str) -> list[Row]:
    """The rows whose names hold one of the comma-separated parts; all of them for no part.

    Raises ValueError where none does.
    """
    parts = [part.strip() for part in engines.split(",") if part.strip()]
    rows = [row for row in ROWS if not parts or any(part in row.name for part in parts)]
    if not rows:
        names = "; ".join(row.name for row in ROWS)
        raise ValueError(f"no engine's name holds {engines!r}: they are {names}")
    return rows
