"""Running trained models without torch."""

import os

# ONNX Runtime from 1.29 on tells its makers about every process, unless this is set before it is
# first imported. Nothing that mien does leaves the machine; who wants otherwise sets it to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
