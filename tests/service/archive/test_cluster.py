"""The same answers from two nodes; needs Ray, which the development environment does not carry."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from service.archive.cluster import _batches
from service.archive.entry import Entry, Task
from service.archive.run import Summary
from tests.service.archive.folders import contents

Tag = Callable[..., Summary]


def test_batches_hold_one_partition_each() -> None:
    tasks = [Task(Entry(f"{index}", size=1), index // 200) for index in range(500)]
    batches = list(_batches(tasks))
    assert [len(batch) for batch in batches] == [128, 72, 128, 72, 100]
    assert [task for batch in batches for task in batch] == tasks
    large = [Task(Entry(f"{index}", size=200 << 20), 0) for index in range(5)]
    assert [len(batch) for batch in _batches(large)] == [2, 2, 1]


def test_two_nodes_say_what_one_machine_says(
    tag: Tag, recordings: Path, tiny_graph: Path, tmp_path: Path
) -> None:
    utils = pytest.importorskip("ray.cluster_utils", reason="Ray is not installed")
    tag([recordings], tmp_path / "here", curves=True, partitions=2)
    cluster = utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        command = [sys.executable, "-m", "service", "archive", "--quiet", str(recordings)]
        wanted = ["--curves", "--partitions", "2", "--out", str(tmp_path / "there")]
        subprocess.run(
            [*command, *wanted, "--ray", cluster.address],
            env={"ATTLOC_MODEL": str(tiny_graph), "ATTLOC_DEVICE": "cpu", "PATH": "/usr/bin:/bin"},
            cwd=Path(__file__).parents[3],
            check=True,
        )
    finally:
        cluster.shutdown()
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
