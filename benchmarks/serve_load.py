"""How quick `mien serve` is, alone and under load, and whether its memory stays flat.

    python benchmarks/serve_load.py [--seconds 60] [--clients 64] [--photo FILE]

It starts a server of its own on a free port, and shares the machine with it: with two processors
the clients take a part of what is measured. Quote the figures with the machine they were taken on.
"""

import argparse
import asyncio
import io
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SIZE = (640, 480)
WARM = 20


def frame(path):
    """The photo as a JPEG of 640 x 480."""
    picture = Image.open(path).convert("RGB")
    picture.thumbnail(SIZE)
    whole = Image.new("RGB", SIZE)
    whole.paste(picture, ((SIZE[0] - picture.width) // 2, (SIZE[1] - picture.height) // 2))
    out = io.BytesIO()
    whole.save(out, "JPEG", quality=85)
    return out.getvalue()


class Connection:
    """One client's connection, kept open: plain HTTP/1.1, so that the client costs little."""

    def __init__(self, port, photo):
        self.port = port
        head = (
            f"POST /v1/analyze HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(photo)}\r\n\r\n"
        )
        self.request = head.encode() + photo
        self.streams = None

    async def ask(self):
        """Status and seconds of one request, and how long a refusal says to wait."""
        begun = time.perf_counter()
        if self.streams is None:
            self.streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.streams
        writer.write(self.request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        await reader.readexactly(int(re.search(r"content-length: (\d+)", head)[1]))
        if "connection: close" in head:
            writer.close()
            self.streams = None
        wait = re.search(r"retry-after: (\d+)", head)
        return int(head.split()[1]), time.perf_counter() - begun, float(wait[1]) if wait else 0.0


async def alone(port, photo, seconds):
    """Milliseconds of each request of one client, one after another."""
    client = Connection(port, photo)
    for _ in range(WARM):
        await client.ask()
    times, until = [], time.perf_counter() + seconds
    while time.perf_counter() < until:
        status, took, _ = await client.ask()
        assert status == 200, status
        times.append(1000 * took)
    return times


async def crowd(port, photo, clients, seconds, memory):
    """How often each status came, the milliseconds of answers, and memory over the time."""
    counts, times, held = Counter(), [], []
    until = time.perf_counter() + seconds

    async def one():
        client = Connection(port, photo)
        while time.perf_counter() < until:
            try:
                status, took, wait = await client.ask()
            except (OSError, asyncio.IncompleteReadError) as error:
                counts[type(error).__name__] += 1
                client.streams = None
                continue
            counts[status] += 1
            if status == 200:
                times.append(1000 * took)
            await asyncio.sleep(min(wait, 1.0))

    async def watch():
        while time.perf_counter() < until:
            held.append(memory())
            await asyncio.sleep(seconds / 20)

    await asyncio.gather(watch(), *(one() for _ in range(clients)))
    return counts, times, held


async def live(port, photo, seconds):
    """Frames a second of one live stream whose client sends the next frame upon an answer."""
    import websockets

    async with websockets.connect(f"ws://127.0.0.1:{port}/v1/stream", compression=None) as stream:
        await stream.send(photo)
        await stream.recv()
        answers, begun = 0, time.perf_counter()
        await stream.send(photo)
        while time.perf_counter() < begun + seconds:
            await stream.send(photo)  # one is always waiting
            told = json.loads(await stream.recv())
            assert "error" not in told, told
            answers += 1
        return answers / (time.perf_counter() - begun)


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def measure(server, port, photo, seconds, clients):
    def memory():
        told = Path(f"/proc/{server.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", told)[1]) / 1024

    def busy():
        told = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")

    before = busy()
    times = asyncio.run(alone(port, photo, min(10, seconds)))
    spent = 1000 * (busy() - before) / (len(times) + WARM)
    single = 1000 / statistics.fmean(times)
    print(f"one client: p50 {percentile(times, 0.5):.1f} ms, p99 {percentile(times, 0.99):.1f} ms, "
          f"{single:.1f} photos/s, {spent:.1f} ms of processor each")  # fmt: skip
    print(f"live stream: {asyncio.run(live(port, photo, min(10, seconds))):.1f} frames/s")
    counts, times, held = asyncio.run(crowd(port, photo, clients, seconds, memory))
    rate = counts[200] / seconds
    print(f"{clients} clients, {seconds} s: {rate:.1f} photos/s, {rate / single:.2f} x one client; "
          f"p50 {percentile(times, 0.5):.0f} ms, p99 {percentile(times, 0.99):.0f} ms")  # fmt: skip
    print("answers:", dict(counts))
    early, late = (statistics.fmean(part) for part in (held[4:8], held[-4:]))
    print(f"memory: {early:.0f} MB early, {late:.0f} MB late, {max(held):.0f} MB at the most")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photo", type=Path, default=ROOT / "examples" / "obama.jpg")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=64)
    chosen, words = parser.parse_known_args()
    begun = time.perf_counter()
    command = [sys.executable, "-m", "mien.cli.main", "serve", "--port", "0", "--quiet", *words]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        port = int(re.search(r":(\d+)/", server.stdout.readline())[1])
        print(f"up after {time.perf_counter() - begun:.2f} s")
        measure(server, port, frame(chosen.photo), chosen.seconds, chosen.clients)
    finally:
        server.terminate()
        server.wait(30)


if __name__ == "__main__":
    main()
