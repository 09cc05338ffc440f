"""How quick `mien serve` is, alone and under load, and whether its memory stays flat.

    python benchmarks/serve_load.py [--seconds 60] [--clients 64] [--photo FILE] [--out FILE]

It starts a server of its own on a free port, and shares the machine with it: with two processors
the clients take a part of what is measured, and so does whatever else runs there. Each line
therefore says what a photo cost the server and its clients in processor time, and what part of the
processors went to others or lay idle. Words that it does not know go to `mien serve`. Quote the
figures with the machine they were taken on.
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
TICK = os.sysconf("SC_CLK_TCK")


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


async def crowd(port, photo, clients, seconds, memory, ended=lambda: None):
    """How often each status came, the milliseconds of answers, and memory over the time.

    `ended` is called when the time is over, while the last answers are still on their way.
    """
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
            if time.perf_counter() >= until:
                return  # what was still on its way at the end is no part of the rate
            counts[status] += 1
            if status == 200:
                times.append(1000 * took)
            await asyncio.sleep(min(wait, 1.0))

    async def watch():
        while time.perf_counter() < until:
            held.append(memory())
            await asyncio.sleep(seconds / 20)
        ended()

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


def machine():
    """The processors that this may use, in words."""
    found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    count = len(os.sched_getaffinity(0))
    return f"{count} x {found[1] if found else 'unknown'}, shared by server and clients"


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def ticks():
    """Ticks of all processors this process may use since the machine started, and the idle ones."""
    own = {f"cpu{i}" for i in os.sched_getaffinity(0)}
    lines = [x.split() for x in Path("/proc/stat").read_text().splitlines() if x.startswith("cpu")]
    counts = [[int(word) for word in x[1:9]] for x in lines if x[0] in own]
    return sum(map(sum, counts)), sum(count[3] + count[4] for count in counts)


class Costs:
    """Processor time between two moments: the server's, this process's, others', and idle."""

    def __init__(self, server):
        self.server = server
        self.before = self.now()
        self.after = None

    def end(self):
        self.after = self.now()

    def now(self):
        told = Path(f"/proc/{self.server.pid}/stat").read_text().rpartition(")")[2].split()
        return int(told[11]) + int(told[12]), time.process_time() * TICK, *ticks()

    def told(self, photos):
        """What a photo cost, in words."""
        server, clients, whole, idle = (b - a for a, b in zip(self.before, self.after, strict=True))
        others = max(0.0, whole - idle - server - clients) / whole
        return (f"a photo costs the server {1000 * server / TICK / photos:.1f} ms of processor and "
                f"its client {1000 * clients / TICK / photos:.1f} ms; others had {others:.0%} of "
                f"the processors, {idle / whole:.0%} lay idle")  # fmt: skip


def measure(server, port, photo, seconds, clients, say):
    def memory():
        told = Path(f"/proc/{server.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", told)[1]) / 1024

    costs = Costs(server)
    times = asyncio.run(alone(port, photo, min(10, seconds)))
    costs.end()
    single = 1000 / statistics.fmean(times)
    say(f"one client: p50 {percentile(times, 0.5):.1f} ms, p99 {percentile(times, 0.99):.1f} ms, "
        f"{single:.1f} photos/s; {costs.told(len(times) + WARM)}")  # fmt: skip
    costs = Costs(server)
    counts, times, held = asyncio.run(crowd(port, photo, clients, seconds, memory, costs.end))
    rate = counts[200] / seconds
    say(f"{clients} clients, {seconds:g} s: {rate:.1f} photos/s, {rate / single:.2f} x one client; "
        f"p50 {percentile(times, 0.5):.0f} ms, p99 {percentile(times, 0.99):.0f} ms; "
        f"{costs.told(counts[200])}")  # fmt: skip
    say(f"answers: {dict(counts)}")
    early, late = (statistics.fmean(part) for part in (held[4:8], held[-4:]))
    say(f"memory: {early:.0f} MB early, {late:.0f} MB late, {max(held):.0f} MB at the most")
    say(f"live stream: {asyncio.run(live(port, photo, min(10, seconds))):.1f} frames/s")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photo", type=Path, default=ROOT / "examples" / "obama.jpg")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--out", type=Path, help="a file for the figures, too")
    chosen, words = parser.parse_known_args()
    lines = [f"python benchmarks/serve_load.py {' '.join(sys.argv[1:])}; {machine()}"]

    def say(line):
        print(line, flush=True)
        lines.append(line)

    begun = time.perf_counter()
    command = [sys.executable, "-m", "mien.cli.main", "serve", "--port", "0", "--quiet", *words]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        port = int(re.search(r":(\d+)/", server.stdout.readline())[1])
        say(f"up after {time.perf_counter() - begun:.2f} s")
        measure(server, port, frame(chosen.photo), chosen.seconds, chosen.clients, say)
    finally:
        server.terminate()
        server.wait(30)
    if chosen.out:
        chosen.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
