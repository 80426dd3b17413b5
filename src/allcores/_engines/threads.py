"""Workers that are threads of this process: nothing travels, and nothing can be killed."""

from __future__ import annotations

import os
import queue
import socket
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from allcores._dataset import Dataset
from allcores._engines import Arrival, MemoryUse
from allcores._engines.serial import arrival_of
from allcores._interrupts import let_interrupts_in
from allcores._job import Job, run_batch
from allcores._machine import limit_cores_here
from allcores._messages import SendBatch, WorkerReady, WorkerSetupFailed, WorkerUp
from allcores._outcomes import WorkerIdentity

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ThreadEngine"]

Inbox = queue.SimpleQueue[tuple[SendBatch, "Iterable[object]"] | None]  # None: leave


class ThreadEngine:
    """Provides threads for one run.

    A thread cannot be killed: one that is told to end does so after the item it is in, and nobody waits for it.
    """

    def __init__(self, job: Job, dataset: Dataset, cores: int) -> None:
        self._job = replace(job, chance=replace(job.chance, is_seeded=False))  # global generators are shared
        self._dataset = dataset
        self._cores = cores
        self._inboxes: dict[int, Inbox] = {}
        self._outbox: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self._is_closed = threading.Event()

    def start(self, worker: int) -> None:
        """Start a thread."""
        inbox: Inbox = queue.SimpleQueue()
        self._inboxes[worker] = inbox
        name = f"allcores-worker-{worker}"
        threading.Thread(target=self._serve, args=(worker, inbox), name=name, daemon=True).start()

    def send(self, batch: SendBatch) -> None:
        """Hand the batch's own items over."""
        self._inboxes[batch.worker].put((batch, self._dataset.items(batch.start, batch.stop)))

    def kill(self, worker: int) -> None:
        """Have the thread end after the item it is in."""
        self.release(worker)

    def release(self, worker: int) -> None:
        """Have the thread end."""
        inbox = self._inboxes.pop(worker, None)
        if inbox is not None:
            inbox.put(None)

    def wait(self, timeout: float | None) -> list[Arrival]:
        """Wait for what the threads report."""
        arrivals = []
        try:
            with let_interrupts_in():
                arrivals.append(self._outbox.get(timeout=timeout) if timeout != 0 else self._outbox.get_nowait())
            while True:
                arrivals.append(self._outbox.get_nowait())
        except queue.Empty:
            return arrivals

    def memory(self) -> MemoryUse:
        """Nobody knows: it is all this process's."""
        return MemoryUse()

    def identity(self, worker: int) -> WorkerIdentity:
        """Say who the worker is: this process."""
        return WorkerIdentity(worker, os.getpid(), socket.gethostname())

    def close(self) -> None:
        """Have every thread end."""
        self._is_closed.set()
        for worker in list(self._inboxes):
            self.release(worker)

    def _serve(self, worker: int, inbox: Inbox) -> None:
        self._outbox.put(Arrival(WorkerUp(worker)))
        limit_cores_here(self._cores)
        try:
            self._job.prepare()
        except BaseException as error:  # the caller's initializer may raise anything
            self._outbox.put(Arrival(WorkerSetupFailed(worker), cause=error))
            return
        self._outbox.put(Arrival(WorkerReady(worker)))
        while (work := inbox.get()) is not None:
            batch, items = work
            for part in run_batch(self._job, items, batch):
                self._outbox.put(arrival_of(batch, part))
                if self._is_closed.is_set():
                    return
