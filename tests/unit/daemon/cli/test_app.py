import subprocess
import sys


def test_the_console_loads_nothing_that_only_the_worker_or_the_emulator_needs() -> None:
    heavy = "{'torch', 'transformers', 'av', 'numpy', 'moto', 'onnxruntime', 'tomli_w'}"
    code = f"import sys, daemon.cli.app; print({heavy} & set(sys.modules))"

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "set()"
