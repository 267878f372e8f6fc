"""The checker ``mix``: did the load carry the operations that were planned, in the planned proportions and order?

Two statements. *Plan*: the operation of every row is that of the arrival planned for its time (exact). *Law*: the operations that were
really sent fit the scenario's probabilities, or its transition matrix row by row, by Pearson's χ² (cells that expect fewer than five
are put together; a transition that cannot happen and did is a misfit at once). The false-alarm rate is 10^-6 a check. A misfit
says nothing of the system: the load was another than the one asked for, so the verdict is INCONCLUSIVE.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc

from harness.core import jsonio
from harness.core.errors import DamagedRun
from harness.core.verdict import Verdict
from harness.journal.events import LoadMixPlanned
from harness.run.folder import TRIALS
from harness.run.protocols import CheckRow, RunView, trial_row

ALPHA = 1e-6
EXPECTED_LEAST = 5.0
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class MixCheck(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``step``: whose operations are looked at; all load steps of the trial when not given."""

    step: str = ""


class MixChecker:
    """One row a load step."""

    name: ClassVar[str] = "mix"
    parameters: ClassVar[type[msgspec.Struct]] = MixCheck

    def check(self, view: RunView, trial: str, layer: str, parameters: MixCheck) -> Sequence[CheckRow]:
        said = [recorded.event for recorded in view.events(LoadMixPlanned.NAME, trial=trial)]
        plans = [event for event in said if isinstance(event, LoadMixPlanned) and parameters.step in {"", event.step}]
        rows = [_row(view, trial, layer, plan) for plan in plans]
        nothing = trial_row(trial, layer, "mix", Verdict.VACUOUS, reason="no load was planned")
        return rows or [nothing]


def _row(view: RunView, trial: str, layer: str, plan: LoadMixPlanned) -> CheckRow:
    verdict, value, reason = _judged(view, trial, plan)
    limit = f"every operation as planned; chi² p >= {ALPHA:g}"
    return trial_row(trial, layer, f"mix.{plan.step}", verdict, value, limit, reason)


def _judged(view: RunView, trial: str, plan: LoadMixPlanned) -> tuple[Verdict, str, str]:
    samples = view.samples("requests", trial)
    steps = np.array(samples["step"].to_pylist(), dtype=object) if samples.num_rows else np.array([], dtype=object)
    mine = np.flatnonzero(steps == plan.step)
    if not len(mine):
        return Verdict.VACUOUS, "no requests", "nothing was sent"
    offsets, operations, principals = (_array(view, trial, plan, name) for name in ("offsets", "operations", "principals"))
    ops = np.array(samples["op"].to_pylist(), dtype=object)[mine]
    intended = samples["intended_ns"].to_numpy()[mine]
    sent = samples["sent_ns"].is_valid().to_numpy(zero_copy_only=False)[mine] if hasattr(samples["sent_ns"], "is_valid") else intended > 0
    names = list(plan.operations)
    carried = np.array([names.index(op) if op in names else -1 for op in ops], dtype=np.int64)
    if differing := differences(offsets, operations, intended, carried):
        return Verdict.INCONCLUSIVE, f"{differing} of {len(mine)} rows differ", "requests carried another operation than planned"
    order = np.lexsort((carried, intended))
    planned = np.lexsort((operations, offsets))[: len(mine)]
    done = np.zeros(len(planned), dtype=np.bool_)
    done[planned] = sent[order]
    return _law(plan, operations[: len(planned)], principals[: len(planned)], done)


def differences(offsets: Ints, operations: Ints, intended: Ints, carried: Ints) -> int:
    """How many rows have no arrival of their time and operation in the plan; a plan that was ended early is a beginning of it."""
    if len(intended) > len(offsets):
        return len(intended) - len(offsets)
    due = np.sort(offsets)[: len(intended)]
    order, planned = np.lexsort((carried, intended)), np.lexsort((operations, offsets))[: len(intended)]
    same = (intended[order] - intended.min() == due - due[0]) & (carried[order] == operations[planned])
    return int((~same).sum())


def _law(plan: LoadMixPlanned, operations: Ints, principals: Ints, sent: npt.NDArray[np.bool_]) -> tuple[Verdict, str, str]:
    went = operations[sent]
    shares = ", ".join(f"{name} {100 * float(np.mean(went == place)):.1f} %" for place, name in enumerate(plan.operations))
    if not len(went):
        return Verdict.VACUOUS, "nothing was sent", "no request of this step was sent"
    if not plan.transitions:
        p = chi_square(np.bincount(went, minlength=len(plan.operations)), np.array(plan.probabilities))
        what = "the shares of the operations"
    else:
        p = transitions_fit(went, principals[sent], np.array(plan.transitions))
        what = "what follows what"
    value = f"{len(went)} requests: {shares}; p = {p:.3g}"
    return (Verdict.PASS, value, "") if p >= ALPHA else (Verdict.INCONCLUSIVE, value, f"{what} is not that of the plan")


def transitions_fit(operations: Ints, principals: Ints, matrix: Floats) -> float:
    """The p value of the transitions of each principal against the matrix; 1 where there are too few to say anything."""
    order = np.argsort(principals, kind="stable")
    chain, whose = operations[order], principals[order]
    same = whose[1:] == whose[:-1]
    counts = np.zeros(matrix.shape, dtype=np.int64)
    np.add.at(counts, (chain[:-1][same], chain[1:][same]), 1)
    statistic, freedom = 0.0, 0
    for row, law in zip(counts, matrix, strict=True):
        more, degrees = _pearson(row, law)
        statistic, freedom = statistic + more, freedom + degrees
    return _tail(statistic, freedom)


def chi_square(counts: Ints, law: Floats) -> float:
    """The p value of counts against probabilities."""
    return _tail(*_pearson(counts, law))


def _pearson(counts: Ints, law: Floats) -> tuple[float, int]:
    """Statistic and degrees of freedom; infinite for what cannot happen and did."""
    total = int(counts.sum())
    if counts[law == 0].sum():
        return float("inf"), 1
    counts, expected = counts[law > 0], law[law > 0] * total
    few = expected < EXPECTED_LEAST
    if few.any():
        counts = np.append(counts[~few], counts[few].sum())
        expected = np.append(expected[~few], expected[few].sum())
    if len(counts) < 2 or expected.min() <= 0:
        return 0.0, 0
    return float(((counts - expected) ** 2 / expected).sum()), len(counts) - 1


def _tail(statistic: float, freedom: int) -> float:
    if not np.isfinite(statistic):
        return 0.0
    return float(chdtrc(freedom, statistic)) if freedom else 1.0


def _array(view: RunView, trial: str, plan: LoadMixPlanned, name: str) -> Ints:
    """An array of the stored plan, verified against the journal."""
    file = f"{plan.step}.{name}.npy"
    path = view.folder / TRIALS / trial / file
    content = path.read_bytes() if path.is_file() else b""
    if jsonio.sha256_hex(content) != plan.files.get(file):
        raise DamagedRun(f"{TRIALS}/{trial}/{file}: not what the journal vouches for")
    loaded: Any = np.load(io.BytesIO(content), allow_pickle=False)
    return np.asarray(loaded, dtype=np.int64)
