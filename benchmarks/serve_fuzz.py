"""Hurts a running `mien serve` with damaged, endless and slow requests, and counts its answers.

    python benchmarks/serve_fuzz.py [--requests 2000] [--seed 0] [--out FILE]

One server on a free port takes it all. It ends with status 1 if an answer is a 5xx other than 503
or a refusal without a reason, if one takes longer than 20 s, if the server's memory grows by over
48 MB, or if a photo is not read as before in the end. Words that it does not know go to `mien
serve`.
"""

import argparse
import asyncio
import base64
import io
import json
import random
import re
import struct
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from uploads import form, png_of_size, zip_bomb  # noqa: E402

PATIENCE = 20.0
GROWTH = 48.0
EDGES = [0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
OPTIONS = ["max_faces=1", "max_faces=-1", "min_score=nan", "return=crops", "return=%00", "crops=1"]
OPTIONS += [
    "model=../../etc/passwd",
    "model=" + "m" * 3000,
    "x" * 3000,
    "%ff=%fe",
    "&&=&",
    "crops=[",
]
KINDS = [
    "",
    "image/jpeg",
    "image/png",
    "application/octet-stream",
    "application/json",
    "image/\xff",
]
KINDS += ["multipart/form-data", "multipart/form-data; boundary=" + "b" * 300, "text/html", "/"]


def pictures():
    """The example photo, small, in every format that is read."""
    with Image.open(ROOT / "examples" / "obama.jpg") as opened:
        photo = opened.convert("RGB").resize((160, 200))
    ways = [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {}), ("GIF", {})]
    ways += [("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {}), ("BMP", {}), ("PPM", {})]
    for kind, how in ways:
        out = io.BytesIO()
        photo.save(out, kind, **how)
        yield out.getvalue()


def damaged(body, rng, others):
    """The body with a few bytes changed, lost, added, repeated or out of another one."""
    out = bytearray(body)
    for _ in range(rng.choice([1, 1, 2, 5, 30])):
        at = rng.randrange(len(out) + 1) if rng.random() < 0.5 else rng.randrange(min(len(out), 99))
        way, long = rng.randrange(6), rng.randrange(1, 60)
        if way == 0:
            out[at : at + 1] = rng.randbytes(1)
        elif way == 1:
            del out[at : at + long]
        elif way == 2:
            out[at:at] = rng.randbytes(long)
        elif way == 3:
            size = rng.choice([1, 2, 4])
            out[at : at + size] = struct.pack(">Q", rng.choice(EDGES))[-size:]
        elif way == 4:
            out[at:at] = out[at : at + long] * rng.randrange(1, 20)
        else:
            other = rng.choice(others)
            start = rng.randrange(len(other))
            out[at:] = other[start : start + 5000]
        out = out or bytearray(b"\xff")
    return bytes(out[: rng.randrange(len(out))] if rng.random() < 0.1 else out)


def request(body, kind, query="", more=""):
    """A whole request, as bytes."""
    head = (
        f"POST /v1/analyze{query} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n{more}"
    )
    return f"{head}Content-Type: {kind}\r\n\r\n".encode("latin-1") + body


def requests(count, seed):
    """So many requests, each with what was done to it."""
    rng = random.Random(seed)
    photos = list(pictures())
    for _ in range(count):
        photo = rng.choice(photos)
        way = rng.choices(["picture", "form", "json", "options", "http"], [50, 18, 18, 7, 7])[0]
        if way == "picture":
            yield way, request(damaged(photo, rng, photos), rng.choice(["", "image/jpeg"]))
        elif way == "form":
            body, kind = form(photo, max_faces=2)
            whole = rng.random() < 0.5
            kind = kind if whole else damaged(kind.encode(), rng, [kind.encode()]).decode("latin-1")
            yield way, request(damaged(body, rng, photos), kind.translate({10: 32, 13: 32, 0: 32}))
        elif way == "json":
            told = json.dumps({"image": base64.b64encode(photo).decode(), "max_faces": 2}).encode()
            yield way, request(damaged(told, rng, [told]), "application/json")
        elif way == "options":
            query = "?" + "&".join(rng.choices(OPTIONS, k=rng.randrange(1, 4)))
            yield way, request(photo, rng.choice(KINDS), query)
        else:
            head, _, body = request(photo, "image/jpeg").partition(b"\r\n\r\n")
            yield way, damaged(head, rng, [head]) + b"\r\n\r\n" + body


def hollow():
    """Pictures that say they are large, or unpack to much."""
    huge = struct.pack("<2sIHHIIiiHH24x", b"BM", 54, 0, 0, 54, 40, 40_000, 40_000, 1, 24)
    yield "PNG of 40,000 x 40,000", png_of_size(40_000, 40_000)
    yield "BMP of 40,000 x 40,000", huge
    yield "GIF of 65,535 x 65,535", b"GIF89a" + b"\xff" * 4 + bytes(3) + b"," + bytes(99)
    yield "64 MB behind a small PNG's rows", zip_bomb()
    out = io.BytesIO()
    Image.new("L", (5000, 5000), 128).save(out, "JPEG", progressive=True)
    whole = out.getvalue()
    last = whole[whole.rindex(b"\xff\xda") : -2]
    yield "JPEG of 400,000 scans", whole[:-2] + last * 400_000
    first = next(pictures())
    yield "JPEG of 4.9 M segments", first[:2] + b"\xff\xe5\x00\x02" * 4_900_000 + first[2:]
    yield "PPM with a comment of 19 MB", b"P6 #" + b"a" * 19_000_000


def bombs():
    """Requests that are small, or look so, and would cost much."""
    for what, content in hollow():
        yield what, request(content, "image/png")
    first = next(pictures())
    yield "JSON 100,000 deep", request(b"[" * 100_000, "application/json")
    part = b'--b\r\nContent-Disposition: form-data; name="f%d"\r\n\r\n1\r\n'
    fields = b"".join(part % i for i in range(100_000)) + b"--b--"
    yield "form of 100,000 fields", request(fields, "multipart/form-data; boundary=b")
    yield "body of 21 MB", request(bytes(21 << 20), "image/jpeg")
    large = request(b"", "image/jpeg").replace(b"Length: 0", b"Length: 1000000000000")
    yield "body said to be 1 TB", large
    yield "header of 1 MB", request(first, "image/jpeg", more=f"X-A: {'a' * (1 << 20)}\r\n")
    yield "20,000 headers", request(first, "", more="".join(f"X-{i}: 1\r\n" for i in range(20_000)))
    yield "address of 1 MB", request(first, "", "?" + "a" * (1 << 20))
    chunked = request(first, "", more="Transfer-Encoding: chunked\r\n")
    yield "chunks that are none", chunked.replace(b"Content-Length: %d\r\n" % len(first), b"")


async def ask(port, content, stay):
    """Status (0: closed without one), the reason of a refusal, and seconds.

    A client that does not `stay` stops sending after a second: its body may be shorter than told.
    """
    begun = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(content)
    if not stay:
        asyncio.get_running_loop().call_later(1, writer.write_eof)
    told = b""
    try:
        async with asyncio.timeout(PATIENCE):
            while piece := await reader.read(65536):
                told += piece
    except ConnectionError:
        pass  # the server said no, and did not read to the end
    finally:
        writer.transport.abort()
    head, _, body = told.partition(b"\r\n\r\n")
    found = re.match(rb"HTTP/1.1 (\d+)", head)
    status = int(found[1]) if found else 0
    return status, body.decode("utf-8", "replace"), time.perf_counter() - begun


def wrong(status, body):
    """What is wrong with an answer; None where nothing is."""
    if status >= 500 and status != 503:
        return f"a {status}: {body[:200]}"
    if status >= 400 and not body.strip():
        return f"a {status} without a reason"
    return None


class Attack:
    """All answers so far, and the faults among them."""

    def __init__(self, server, port):
        self.server, self.port = server, port
        self.counts, self.faults, self.slowest = {}, [], 0.0

    def memory(self):
        told = Path(f"/proc/{self.server.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", told)[1]) / 1024

    async def one(self, group, what, content):
        """Send one; its status."""
        try:
            status, body, seconds = await ask(self.port, content, group != "http")
        except TimeoutError:
            self.faults.append(f"{what}: no answer in {PATIENCE:g} s")
            return 0
        self.slowest = max(self.slowest, seconds)
        self.counts.setdefault(group, Counter())[status] += 1
        if fault := wrong(status, body):
            self.faults.append(f"{what}: {fault}")
        if status == 0 and group not in ("http", "bombs"):
            self.faults.append(f"{what}: closed without an answer")
        return status

    async def slow(self, count=64):
        """Connections that send a byte a second, or nothing; and a client that is served meanwhile.

        Returns:
            In words, when they were ended and how long the client waited.
        """
        whole = request(next(pictures()), "image/jpeg")
        starts = [whole[:40], whole[:-100], b"", b"G"]
        begun = time.perf_counter()
        slow = [asyncio.create_task(self.trickle(starts[i % 4])) for i in range(count)]
        waits = []
        while not all(task.done() for task in slow):
            asked = time.perf_counter()
            if await self.one("beside slow ones", "a client beside slow ones", whole) != 200:
                self.faults.append("a client beside slow ones was not served")
            waits.append(time.perf_counter() - asked)
            await asyncio.sleep(0.5)
        kept = sum(not task.result() for task in slow)
        if kept:
            self.faults.append(f"{kept} slow connections were kept for {2 * PATIENCE:g} s")
        return (
            f"{count} slow connections: all ended after {time.perf_counter() - begun:.0f} s; "
            f"a client beside them waited {1000 * max(waits):.0f} ms at the most"
        )

    async def trickle(self, start):
        """Whether the server ends a connection that sends `start` and then a byte a second."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        until = time.perf_counter() + 2 * PATIENCE
        writer.write(start)
        while time.perf_counter() < until:
            try:
                async with asyncio.timeout(1):
                    if not await reader.read(65536):
                        return True
            except TimeoutError:
                writer.write(b"a" if start else b"")
            except ConnectionError:
                return True
        return False


async def attack(found, count, seed, say):
    photo = request(next(pictures()), "image/jpeg")
    for _ in range(50):
        await found.one("whole photos", "a whole photo", photo)
    before, begun = found.memory(), time.perf_counter()
    for i, (group, content) in enumerate(requests(count, seed)):
        await found.one(group, f"request {i} ({group})", content)
    for group, counts in found.counts.items():
        say(f"{group}: {sum(counts.values())} requests, by status {dict(sorted(counts.items()))}")
    say(f"the slowest took {found.slowest:.2f} s, all of them {time.perf_counter() - begun:.0f} s; "
        f"memory {before:.0f} MB before, {found.memory():.0f} MB after")  # fmt: skip
    for what, content in bombs():
        found.slowest = 0.0
        status = await found.one("bombs", what, content)
        say(f"{what}: {status or 'closed'} after {found.slowest:.2f} s")
    say(await found.slow())
    after = found.memory()
    say(f"memory in the end: {after:.0f} MB")
    if after - before > GROWTH:
        found.faults.append(f"memory grew from {before:.0f} to {after:.0f} MB")
    if await found.one("whole photos", "a photo in the end", photo) != 200:
        found.faults.append("a photo in the end was not read")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a file for the counts, too")
    chosen, words = parser.parse_known_args()
    lines = [f"python benchmarks/serve_fuzz.py {' '.join(sys.argv[1:])}".rstrip()]

    def say(line):
        print(line, flush=True)
        lines.append(line)

    command = [sys.executable, "-m", "mien.cli.main", "serve", "--port", "0", "--quiet", *words]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        found = Attack(server, int(re.search(r":(\d+)/", server.stdout.readline())[1]))
        asyncio.run(attack(found, chosen.requests, chosen.seed, say))
    finally:
        server.terminate()
        server.wait(30)
    say(
        "\n".join([f"{len(found.faults)} FAULTS:", *found.faults[:20]])
        if found.faults
        else "no faults"
    )
    if chosen.out:
        chosen.out.write_text("\n".join(lines) + "\n")
    return 1 if found.faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
