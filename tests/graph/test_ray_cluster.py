"""Finding a cluster, and how its processor cores are shared; nothing of Ray is started here."""

import importlib.util
import os
import socket

import pytest

from graph.ray_cluster import Cluster, threads_each, variables
from scene.errors import InputError


@pytest.mark.parametrize(
    ("processors", "actors", "threads"),
    [
        ([2], 1, 2),
        ([2], 2, 1),
        ([2], 3, 0),
        ([32, 32, 32, 32], 4, 32),
        ([32, 32, 32, 32], 6, 16),
        ([64, 32], 3, 32),
        ([64, 8], 2, 32),
        ([0, 4], 1, 4),
        ([], 1, 0),
    ],
)
def test_every_actor_gets_the_same_share_of_one_machine(processors, actors, threads):
    assert threads_each(processors, actors) == threads


@pytest.mark.parametrize("address", ["nonsense", "10.0.0.1", "ray://10.0.0.1:10001", ":6379", "head:port"])
def test_what_is_no_address(address):
    with pytest.raises(InputError, match="is not the address of a Ray cluster; give one such as"):
        Cluster(address)


def test_an_address_where_nobody_answers():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(InputError, match=f"^No Ray cluster answers at {address}; start one with"):
            Cluster(address)


def test_ray_is_not_installed(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"^Ray is not installed; install the extra with .*\[ray\]"):
        Cluster("local")


def test_no_key_is_among_the_variables_of_an_actor(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("MONOPOLYLOGUE_NO_BEGINNINGS", "yes")
    given = variables(3)
    assert (given["OMP_NUM_THREADS"], given["HF_HUB_OFFLINE"]) == ("3", "1")
    assert given["MONOPOLYLOGUE_NO_BEGINNINGS"] == "yes"
    assert set(given) <= {*os.environ, "OMP_NUM_THREADS"}
    assert "secret" not in given.values()
    assert "OMP_NUM_THREADS" not in variables(None)
