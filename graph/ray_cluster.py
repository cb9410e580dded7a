"""A connection to Ray: to a cluster that runs, or to one on this machine that is started for the purpose."""

import importlib
import importlib.util
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, redirect_stdout
from typing import Any

from scene.errors import InputError, reason

LOCAL, AUTO = "local", "auto"
"""Addresses: a cluster of this machine alone, and whichever one this machine belongs to."""

ANSWER_SECONDS = 5.0
"""How long the cluster's head may take to accept a connection. Ray itself would try for minutes."""

OBJECT_STORE_BYTES = 2**28
"""Shared memory of a local cluster. Only records pass through it, 100 to 200 kB each."""

SILENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
"""Nothing is reported to anybody, and nothing is said about accelerators."""

LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Ray's name, on every system, for listening to this machine alone."""

INHERITED = (
    "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_OFFLINE", "LANGGRAPH_STRICT_MSGPACK", "LANGSMITH_TRACING",
    "MONOPOLYLOGUE_CONCURRENCY", "MONOPOLYLOGUE_NO_BEGINNINGS", "TOKENIZERS_PARALLELISM",
)  # fmt: skip
"""Variables that an actor gets from here. No key is among them: Ray writes them to its logs."""


class Cluster:
    """The connection to `local`, `auto`, or `host:port` of a cluster's head; there is one in a process.

    Raises:
        InputError: Ray is not installed, or no cluster answers at the address.
    """

    def __init__(self, address: str) -> None:
        if importlib.util.find_spec("ray") is None:
            raise InputError(
                "Ray is not installed; install the extra with `pip install 'monopolylogue[ray]'`."
            )
        if address not in (LOCAL, AUTO):
            _check_answers(address)
        os.environ.update(SILENT)
        if address == LOCAL:
            os.environ.update(LOOPBACK)
        self.ray: Any = importlib.import_module("ray")
        self._quiet = ExitStack()
        # It prints on standard output when an actor is lost, and has no switch for that.
        self._quiet.enter_context(redirect_stdout(self._quiet.enter_context(open(os.devnull, "w"))))
        try:
            self._connect(address)
        except BaseException:
            self.close()
            raise

    def _connect(self, address: str) -> None:
        local = {"object_store_memory": OBJECT_STORE_BYTES} if address == LOCAL else {}
        try:
            self.ray.init(
                address, include_dashboard=False, log_to_driver=False, logging_level="critical", **local
            )
        except ConnectionError as error:
            raise _no_cluster("on this machine" if address == AUTO else f"at {address}") from error
        except (OSError, RuntimeError, ValueError) as error:  # versions that differ are a RuntimeError
            raise InputError(
                f"Ray can't be used at {address} ({reason(error)}); `ray status` says whether a cluster runs "
                "there."
            ) from error

    def processors(self) -> list[int]:
        """Processor cores of each machine, as they were given to Ray."""
        return [int(node["Resources"].get("CPU", 0)) for node in self.ray.nodes() if node["Alive"]]

    def close(self) -> None:
        """Disconnect, which ends the actors; a local cluster ends too. Once more does nothing."""
        self.ray.shutdown()
        self._quiet.close()


def threads_each(processors: Sequence[int], actors: int) -> int:
    """The largest share of a machine that all actors can have at once; 0 when there are too many of them."""
    shares = range(max(processors, default=0), 0, -1)
    return next((share for share in shares if sum(cores // share for cores in processors) >= actors), 0)


def variables(threads: int | None) -> Mapping[str, str]:
    """Environment of an actor that computes with so many threads."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return inherited if threads is None else {**inherited, "OMP_NUM_THREADS": str(threads)}


def _check_answers(address: str) -> None:
    """See whether anything listens there, since Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or "/" in address or not port.isascii() or not port.isdigit():
        raise InputError(
            f"{address} is not the address of a Ray cluster; give one such as 10.0.0.1:6379, auto or local."
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(f"at {address}") from error


def _no_cluster(where: str) -> InputError:
    return InputError(
        f"No Ray cluster answers {where}; start one with `ray start --head`, or give --ray local."
    )
