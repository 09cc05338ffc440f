"""Live pictures over a WebSocket: a frame in, who looks how out, and the newest frame wins."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from mien.pipeline import Result
from mien.report.table import SCHEMA, to_dict
from mien.serve.limits import RefusedError
from mien.serve.pool import Identify, Pool
from mien.serve.schema import add_crops, problem
from mien.serve.upload import StreamAsk
from mien.stream import Motion, smooth
from mien.types import Faces, Frame
from mien.video.follow import Follower

UNSUPPORTED, IDLE, TOO_BIG = 1003, 1001, 1009  # RFC 6455's words for why a stream ends


class Stream:
    """One client's live pictures.

    The client may send as fast as it likes: while a frame is read, of those that come only the
    newest is kept. Each answer names the frame it is about, by its number among those received.
    """

    def __init__(self, socket: WebSocket, pool: Pool, ask: StreamAsk) -> None:
        self._socket, self._pool, self._ask = socket, pool, ask
        self._begun = time.monotonic()
        self._newest: tuple[int, float, bytes] | None = None
        self._arrived = asyncio.Event()
        self._received = self._answered = 0
        self._people = Follower()
        self._pending: list[Result] = []
        threshold = pool.model(ask.model).spec.answer.threshold
        self._smoothed = smooth(
            iter(self._pending.pop, None), Motion(smooth=ask.smooth), lambda: threshold
        )

    async def run(self) -> None:
        """Accept the connection and serve it until it ends."""
        await self._socket.accept()
        tasks = [asyncio.create_task(side()) for side in (self._receive_all, self._answer_all)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            fault = None if task.cancelled() else task.exception()
            # The client may leave while an answer is on its way to it.
            if fault is not None and not isinstance(fault, WebSocketDisconnect):
                raise fault

    async def _receive_all(self) -> None:
        limits = self._pool.limits
        while True:
            try:
                async with asyncio.timeout(limits.idle_sec):
                    message = await self._socket.receive()
            except TimeoutError:
                await self._socket.close(IDLE, f"no frame for {limits.idle_sec:g} s")
                return
            if message["type"] == "websocket.disconnect":
                return
            content = message.get("bytes")
            if content is None:
                await self._socket.close(UNSUPPORTED, "frames are binary: JPEG, WebP or PNG")
                return
            if len(content) > limits.frame:
                await self._socket.close(TOO_BIG, f"a frame is over {limits.frame:,} bytes")
                return
            now = time.monotonic() - self._begun
            self._newest = (self._received, now, content)
            self._received += 1
            self._arrived.set()

    async def _answer_all(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            newest, self._newest = self._newest, None
            if newest is None:
                continue
            number, now, content = newest
            self._pool.metrics.count("mien_frames_total", outcome="read")
            told = await self._answer(number, now, content)
            await self._socket.send_json(told)

    async def _answer(self, number: int, now: float, content: bytes) -> dict[str, Any]:
        begun = time.monotonic()
        self._answered += 1
        try:
            read = await self._pool.read(content, self._ask, "stream", self._identify(now))
        except RefusedError as refused:
            return {**problem(refused), "frame": number, "t_sec": round(now, 4)}
        told = to_dict(self._evened(read.result, number, now))
        faces = told["faces"]
        if self._ask.crops:
            add_crops(faces, read)
        return {
            "schema": SCHEMA,
            "frame": number,
            "t_sec": round(now, 4),
            "width": told["width"],
            "height": told["height"],
            "faces": faces,
            "dropped": number + 1 - self._answered,
            "ms": round(1000 * (time.monotonic() - begun), 2),
        }

    def _identify(self, now: float) -> Identify:
        """Who is who at that time; those of whom nothing is sure yet are left out."""

        def identify(frame: Frame, faces: Faces) -> tuple[Faces, tuple[int, ...]]:
            ids = np.array(self._people.update(now, faces), np.intp)
            order = np.argsort(ids, kind="stable")
            order = order[ids[order] >= 0]
            return faces.pick(order), tuple(ids[order].tolist())

        return identify

    def _evened(self, result: Result, number: int, now: float) -> Result:
        """The result at its time, with smoothed readings beside the raw ones."""
        timed = Result(
            result.source,
            result.status,
            result.width,
            result.height,
            result.model,
            result.faces,
            number,
            now,
        )
        if not self._ask.smooth:
            return timed
        self._pending.append(timed)
        return next(self._smoothed)
