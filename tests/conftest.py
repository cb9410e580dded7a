"""What holds for every test: no network, no real model unless marked, no telemetry."""

import os

# Read by the libraries when they are imported, so it has to come first.
os.environ.update(
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    LANGSMITH_TRACING="false",
    LANGGRAPH_STRICT_MSGPACK="true",
    MONOPOLYLOGUE_NO_BEGINNINGS="yes",
    TOKENIZERS_PARALLELISM="false",
)
# Processes of tests beside each other, each with as many threads as there are cores, wait for one another.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"

import functools
import gc
import ipaddress
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import inference.loading
from inference.engine import Engine
from scene.tables.questions import read_questions
from tests.forked import ForkServer, fork_server
from tests.ray_forks import server as ray_forks_server

# What tests import stays; to look for what does not takes a fifth of the time until the first of them.
gc.disable()

# What a shell runs in the background is deaf to Ctrl-C, and so would be every process that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

QUESTION_SETS = Path(
    os.environ.get("MONOPOLYLOGUE_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data"
)


class ForbiddenInTestsError(BaseException):
    """An unmarked test reached for the network or a real model. No `except Exception` hides it."""


class _Switches:
    """What the test that is running may do. Off unless its markers or fixtures switch it on."""

    network = False
    models = False


# --- network -----------------------------------------------------------------------------------------


def _is_local(host: object) -> bool:
    if host in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(str(host, "ascii") if isinstance(host, bytes) else str(host)).is_loopback
    except ValueError:
        return False


def _refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    """Audit hook: sees every connection that Python code opens, in whichever thread or library."""
    if _Switches.network or not event.startswith("socket."):
        return
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        if not isinstance(address, tuple):  # a Unix socket's path, or none on a connected socket
            return
        host = address[0]
    else:
        return
    if not _is_local(host):
        raise ForbiddenInTestsError(
            f"{event} to {host!r}: a test without the mark `model` or `slow` has no network"
        )


sys.addaudithook(_refuse_network)


# --- models ------------------------------------------------------------------------------------------


def _guard(load_engine: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(load_engine)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if not _Switches.models:
            raise ForbiddenInTestsError(
                "load_engine was called: use a scripted model, mark the test `model` or `slow`, "
                "or ask for the fixture `allow_load_engine` if the model is random or the call to be refused"
            )
        return load_engine(*args, **kwargs)

    return guarded


def _replace_everywhere(original: object, replacement: object) -> None:
    """Rebind a function in each module that has it. Modules imported later find the replacement."""
    for module in list(sys.modules.values()):
        for name, value in list(vars(module).items()):
            if value is original:
                setattr(module, name, replacement)


_replace_everywhere(inference.loading.load_engine, _guard(inference.loading.load_engine))


@contextmanager
def _switched(**switches: bool) -> Iterator[None]:
    before = {name: getattr(_Switches, name) for name in switches}
    for name, value in switches.items():
        setattr(_Switches, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(_Switches, name, value)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Set the switches before any fixture of the test is made, whatever its scope."""
    real = any(item.get_closest_marker(name) for name in ("model", "slow"))
    in_inference = Path(__file__).parent / "inference" in item.path.parents
    with _switched(network=real, models=real or in_inference):
        return (yield)


@pytest.fixture
def allow_load_engine() -> Iterator[None]:
    """For tests that call `load_engine` on a random model, or to be refused. The network stays closed."""
    with _switched(models=True):
        yield


# --- the tiny model ----------------------------------------------------------------------------------


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep what runs the tiny model in one of several processes, so that no other has to load it too."""
    for item in items:
        if item.get_closest_marker("model"):
            item.add_marker(pytest.mark.xdist_group("tiny"))


@pytest.fixture(scope="session")
def tiny_engine() -> Iterator[Callable[[str], Engine]]:
    """`tiny_engine("llama")`: the tiny model on an engine, loaded once for all tests, which leave it open.

    It has one thread, as other tests may want the other cores.
    """
    loaded: dict[str, Engine] = {}

    def engine(name: str) -> Engine:
        if name not in loaded:
            loaded[name] = inference.loading.load_engine("tiny", engine=name, threads=1)
        return loaded[name]

    yield engine
    for one in loaded.values():
        one.close()


# --- question sets -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def question_sets() -> Path:
    """The folder of development sets: `MONOPOLYLOGUE_DATA`, or ../shared/data."""
    if not QUESTION_SETS.is_dir():
        pytest.skip("the question sets (MONOPOLYLOGUE_DATA, or ../shared/data) are not on this machine")
    return QUESTION_SETS


@pytest.fixture(scope="session")
def questions(question_sets: Path) -> Callable[..., list[str]]:
    """`questions(file_name, limit=None)`: the first questions of a development set."""

    def read(file_name: str, limit: int | None = None) -> list[str]:
        found = read_questions(str(question_sets / file_name)).questions
        return [question.text for question in found][:limit]

    return read


# --- Ray -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def ray_forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where a server listens that forks Ray's workers; see ray_forks.py."""
    path = tmp_path_factory.mktemp("ray") / "forks"
    with ray_forks_server(path):
        yield path


# --- disks -------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk() -> Iterator[Callable[[Path, str], None]]:
    """`small_disk(folder, "400k")`: a file system of that size there; once more changes its size."""
    mounted: list[Path] = []

    def mount(folder: Path, size: str) -> None:
        folder.mkdir(exist_ok=True)
        options = f"remount,size={size}" if folder in mounted else f"size={size}"
        try:
            done = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True
            )
        except FileNotFoundError:
            pytest.skip("there is no mount on this machine")
        if done.returncode:
            pytest.skip(f"only root may mount a file system: {done.stderr.strip()}")
        mounted.append(folder)

    yield mount
    for folder in set(mounted):
        subprocess.run(["umount", str(folder)], check=True)


# --- processes ---------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def commands() -> Iterator[ForkServer]:
    """Starts `cli.main` or `tests.cli.child` in processes of their own, without a second of imports each."""
    with fork_server("tests.cli.preloaded") as server:
        yield server


# --- memory ------------------------------------------------------------------------------------------


def pytest_collection_finish() -> None:
    """Have the collector leave alone what was imported: a million objects, and trainers call it often."""
    gc.freeze()
    gc.enable()


# --- figures -----------------------------------------------------------------------------------------


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures that tests noted with `record_property`, so that they can be quoted."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    noted = [report for report in reports if report.user_properties]
    if noted:
        terminalreporter.section("figures")
    for report in noted:
        terminalreporter.write_line(report.nodeid)
        for name, figure in report.user_properties:
            terminalreporter.write_line(f"  {name}: {figure}")
