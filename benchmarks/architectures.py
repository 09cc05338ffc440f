"""What the registered architectures cost: parameters, multiplications, and time on this machine.

    python benchmarks/architectures.py [NAME …]

Those that take 48x48 grey faces, by default all. Untrained weights (they change no time), two
heads. Run-time figures are medians with ONNX Runtime, training is forward and backward of a batch
of 64 in float32 on two threads.
"""

import sys
import tempfile
from pathlib import Path

import torch
from speed import median_sec

from mien.runtime.session import open_session
from mien.train.graph import write_graph
from mien.train.models import build, count_macs, count_parameters
from mien.train.models.registry import PUBLISHED
from mien.train.trainer import keep_freed_memory

HEADS = {"fer2013": 7, "ferplus": 8}


def run_times(model, folder):
    path = Path(folder) / "network.onnx"
    write_graph(model, tuple(HEADS), 1, 48, path)
    one, two = open_session(path, threads=1), open_session(path, threads=2)
    single, many = torch.randn(1, 1, 48, 48).numpy(), torch.randn(64, 1, 48, 48).numpy()
    return (
        1e3 * median_sec(lambda: one.run(None, {"crops": single}), 200),
        64 / median_sec(lambda: two.run(None, {"crops": many}), 30),
    )


def training_speed(model):
    x, y = torch.randn(64, 1, 48, 48), torch.randint(0, 7, (64,))
    model.train()

    def step():
        logits = model(x)
        sum(torch.nn.functional.cross_entropy(z, y) for z in logits.values()).backward()

    return 64 / median_sec(step, 8)


def main():
    keep_freed_memory()
    torch.set_num_threads(2)
    print(
        "name         trainable  all      M MAC   batch 1, ms  batch 64, faces/s  training, faces/s"
    )
    small = [name for name, about in PUBLISHED.items() if (about.channels, about.size) == (1, 48)]
    for name in sys.argv[1:] or small:
        model = build(name, HEADS)
        trainable, everything = count_parameters(model)
        macs = count_macs(model, 1, 48) / 1e6
        with tempfile.TemporaryDirectory() as folder:
            single, many = run_times(model.eval(), folder)
        training = training_speed(model)
        print(
            f"{name:12} {trainable:9,}  {everything:7,}  {macs:5.2f}  {single:11.3f}  {many:17.0f}"
            f"  {training:17.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
