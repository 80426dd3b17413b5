"""Ray: its `Pool`, which has the face of multiprocessing's."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

from benchmarks.peers.loopback import LOOPBACK_ONLY
from benchmarks.peers.pool import Pool


class Ray(Pool):
    """A Ray of this machine alone, and a pool of actors; what is bound is put into the object store."""

    package = "ray"
    statement = "from ray.util.multiprocessing import Pool"
    script = (
        "from ray.util.multiprocessing import Pool\ndef f(x): return x * x\n"
        "with Pool() as pool: print(pool.map(f, range(4)))"
    )
    most_items = 200_000  # some 5 us each
    is_kept = True
    wrapper = LOOPBACK_ONLY

    def open(self, workers: int) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        import ray
        from ray.util.multiprocessing import Pool as RayPool

        self._ray = ray
        self._folder = tempfile.mkdtemp(prefix="ray")
        ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, _temp_dir=self._folder)
        self._pool = RayPool(workers)

    def close(self) -> None:
        super().close()
        self._ray.shutdown()
        shutil.rmtree(self._folder, ignore_errors=True)

    def bind(self, function: Callable[..., Any], big: Any) -> Callable[[Any], Any]:
        ray, reference = self._ray, self._ray.put(big)
        return lambda item: function(ray.get(reference), item)
