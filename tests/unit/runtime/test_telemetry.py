"""ONNX Runtime tells nobody what is run: it writes no session id, which its telemetry needs."""

import os
import subprocess
import sys


def files_of_a_run(folder, **environment):
    told = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"} | environment
    code = "import os, mien; mien.load_classifier(); print(os.environ.get('ORT_DISABLE_TELEMETRY'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**told, "TMPDIR": str(folder), "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip(), list(folder.iterdir())


def test_a_model_is_loaded_without_telemetry(tmp_path):
    assert files_of_a_run(tmp_path) == ("1", [])


def test_who_wants_it_may_have_it(tmp_path):
    assert files_of_a_run(tmp_path, ORT_DISABLE_TELEMETRY="0")[0] == "0"
