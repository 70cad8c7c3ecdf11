"""A browser tab: its WebSocket, and the processes of its own that it talks to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
import time
from asyncio.subprocess import PIPE, Process
from typing import Any, Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from percpu_emu.web.messages import WrongMessage, parsed

log: Final = logging.getLogger(__name__)

WORKERS: Final = {
    "machine": "percpu_emu.web.machine_worker",
    "explorer": "percpu_emu.web.search_worker",
}
"""Whom a message may be for, and the module that the process runs."""
LONGEST_LINE: Final = 64 << 20
"""Bytes; a long trace takes some hundred thousand."""
MOST_WAITING: Final = 1 << 20
"""Bytes of requests that a process has not taken yet."""
RATE: Final = 100
"""Messages a second that a tab may send; a key that is held down sends 30."""
MOST_WRONG: Final = 20
"""Messages that do not fit, after which a tab is closed: the page sends none, and each is a line of the log."""
END_SECONDS: Final = 4.0
"""For a process to end by itself once its input is closed; a machine ends its CPUs in 2."""


class Tab:
    """Passes messages on between a socket and processes, until the socket is closed; then nothing of it is left."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._processes: dict[str, Process] = {}
        self._readers: set[asyncio.Task[None]] = set()
        self._starting = asyncio.Lock()
        self._meter = _Meter()
        self._wrong = 0

    async def serve(self) -> None:
        """Until the tab is closed."""
        try:
            while True:
                await self._take(await self._socket.receive_text())
        except (WebSocketDisconnect, KeyError):  # KeyError: Starlette's, for a message that is bytes
            pass
        finally:
            await asyncio.shield(self._end())

    async def _take(self, text: str) -> None:
        try:
            self._meter.take()
            name, message = parsed(text)
        except WrongMessage as error:
            await self._refuse(error)
            return
        stdin = (await self._process(name)).stdin
        assert stdin is not None
        if stdin.transport.get_write_buffer_size() > MOST_WAITING:  # not waited for: the tab may be closed meanwhile
            await self._say({"error": f"the {name} has more to do than it takes: wait for its answers"})
        else:
            stdin.write(json.dumps(message).encode() + b"\n")

    async def _refuse(self, error: WrongMessage) -> None:
        """Say what is wrong with a message, here and in the log; a tab that goes on so is closed."""
        self._wrong += 1
        log.warning("a message of a tab is refused: %s", error)
        await self._say({"error": str(error)})
        if self._wrong >= MOST_WRONG:
            await self._socket.close(1008, f"{MOST_WRONG} messages were wrong")
            raise WebSocketDisconnect(1008)

    async def _process(self, name: str) -> Process:
        async with self._starting:
            process = self._processes.get(name)
            if process is None or process.returncode is not None:
                command = (sys.executable, "-m", WORKERS[name])
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=PIPE,
                    stdout=PIPE,
                    limit=LONGEST_LINE,
                    start_new_session=True,  # Ctrl-C is for the server, which ends them in order
                )
                self._processes[name] = process
                reader = asyncio.create_task(self._read(name, process))
                self._readers.add(reader)
                reader.add_done_callback(self._readers.discard)
            return process

    async def _read(self, name: str, process: Process) -> None:
        """Pass on what a process says. A browser that takes nothing is waited for, and the process notices."""
        assert process.stdout is not None
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # RuntimeError: sent after it was closed
            while line := await process.stdout.readline():
                await self._socket.send_text(f'{{"from":"{name}","says":{line.decode().strip()}}}')
            code = await process.wait()
            await self._say({"from": name, "ended": code})

    async def _say(self, message: dict[str, Any]) -> None:
        await self._socket.send_text(json.dumps(message))

    async def _end(self) -> None:
        """End the processes: by closing their input, by SIGKILL where that does not help."""
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*map(_ended, self._processes.values()))


async def _ended(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), END_SECONDS)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


class _Meter:
    """Lets RATE messages a second pass, and a burst of as many."""

    def __init__(self) -> None:
        self._left = float(RATE)
        self._then = time.monotonic()

    def take(self) -> None:
        """Count a message. Raises WrongMessage for one too many."""
        now = time.monotonic()
        self._left = min(RATE, self._left + (now - self._then) * RATE)
        self._then = now
        if self._left < 1:
            raise WrongMessage(f"more than {RATE} messages a second")
        self._left -= 1
