"""The tables of a comparison, written beside its runs as these finish."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from model_export.comparison.figures import standings
from model_export.comparison.report import Setting, document, markdown
from model_export.comparison.runs import Beginning, read_result, training_cpu_s
from model_export.comparison.suites import Suite, chunk_passes
from model_export.data.mixture_set import read_weak_set
from model_export.data.set_names import names_of

if TYPE_CHECKING:
    from model_export.comparison.compare import Run, Sets


@dataclass(frozen=True, slots=True)
class Tables:
    """`comparison.md` and `comparison.json` of one comparison.

    Attributes:
        suite: what is compared.
        sets: learned from and answered.
        tested: the sets that are answered, and the digest of each.
        beginning: what all runs begin with.
        out: folder.
    """

    suite: Suite
    sets: "Sets"
    tested: Mapping[Path, str]
    beginning: Beginning
    out: Path

    def write(self, finished: "Sequence[Run]", replicates: int) -> str:
        """Write the tables of what is finished; they wait for a run of the reference.

        Returns:
            The Markdown; nothing as long as the reference has no run.
        """
        by_name = {name: [run for run in finished if run.name == name] for name in self.suite.configurations}
        by_name = {name: runs for name, runs in by_name.items() if runs}
        if self.suite.reference not in by_name:
            return ""
        called = names_of([*self.sets.train, *self.sets.answered])
        setting = Setting(
            self.suite.reference,
            {name: chunk_passes(runs[0].config) for name, runs in by_name.items()},
            tuple(called[path] for path in self.sets.train),
            sum(len(read_weak_set(path)) for path in self.sets.train),
            replicates,
            tuple(self._notes(by_name)),
        )
        parts = {"validation": self.sets.validation} | ({"test": self.sets.test} if self.sets.test else {})
        names = {part: [called[path] for path in folders] for part, folders in parts.items()}
        found = {}
        for part, folders in parts.items():
            results = {
                name: [[read_result(run.out, self.tested[folder]) for folder in folders] for run in runs]
                for name, runs in by_name.items()
            }
            found[part] = standings(results, names[part], self.suite.reference, replicates)
        seconds = {name: _mean([training_cpu_s(run.out) for run in runs]) for name, runs in by_name.items()}
        text = markdown(setting, found, names, seconds)
        (self.out / "comparison.md").write_text(text, encoding="utf-8")
        report = document(setting, found, seconds)
        (self.out / "comparison.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        return text

    def _notes(self, by_name: Mapping[str, object]) -> list[str]:
        notes = []
        if left_out := [name for name in self.suite.configurations if name not in by_name]:
            notes.append(f"No run of: {', '.join(left_out)}.")
        if self.beginning.start_from is not None:
            anew = f", {' and '.join(self.beginning.anew)} anew" if self.beginning.anew else ""
            notes.append(f"Every run began with the weights of {self.beginning.start_from.name}{anew}.")
        return notes


def _mean(values: list[float | None]) -> float:
    known = [value for value in values if value is not None]
    return fmean(known) if known else math.nan
