"""Speed and memory of `mien video`: the whole command from its start to the finished table.

    python benchmarks/video.py FILE [--repeat 3] [--loop MINUTES]

With --loop the file's packets are copied behind each other until the film is so long, and resident
memory is told once in ten seconds: after the first minute it should not rise.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av


def command(film, table):
    mien = [sys.executable, "-m", "mien.cli.main", "video"]
    return [*mien, str(film), "--csv", str(table), "--quiet"]


def looped(film, path, seconds):
    """Write the film's packets again and again, each time later, until it is `seconds` long."""
    with av.open(str(path), "w") as target:
        out, begin, length = None, 0, 0.0
        while length < seconds:
            with av.open(str(film)) as source:
                stream = source.streams.video[0]
                out = out or target.add_stream_from_template(stream)
                end = begin
                for packet in source.demux(stream):
                    if packet.dts is not None:
                        packet.pts, packet.dts = packet.pts + begin, packet.dts + begin
                        end = max(end, packet.pts + packet.duration)
                        packet.stream = out
                        target.mux(packet)
                length, begin = float(end * stream.time_base), end


def resident_mb(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def memory(film, minutes, folder):
    path = Path(folder) / "long.mp4"
    looped(film, path, 60 * minutes)
    start = time.monotonic()
    process = subprocess.Popen(command(path, Path(folder) / "long.csv"), stdout=subprocess.DEVNULL)
    while process.poll() is None:
        time.sleep(10)
        if process.poll() is None:
            print(
                f"{time.monotonic() - start:6.0f} s  {resident_mb(process.pid):6.0f} MB", flush=True
            )
    rows = (Path(folder) / "long.csv").read_bytes().count(b"\n") - 1
    seconds = time.monotonic() - start
    print(f"{minutes:g} minutes: {rows} rows in {seconds:.0f} s, {rows / seconds:.0f} rows/s")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("film", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--loop", type=float, default=0.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.repeat):
            table = Path(folder) / "table.csv"
            start = time.monotonic()
            subprocess.run(command(options.film, table), check=True, stdout=subprocess.DEVNULL)
            seconds = time.monotonic() - start
            frames = table.read_bytes().count(b"\n") - 1
            print(f"{frames} rows in {seconds:.2f} s: {frames / seconds:.0f} rows/s", flush=True)
        if options.loop:
            memory(options.film, options.loop, folder)


if __name__ == "__main__":
    main()
