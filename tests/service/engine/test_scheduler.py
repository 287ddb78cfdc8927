"""Fairness, groups, admission, and what happens when clients leave, time runs out or workers break.

The model is a stand-in that stops at a gate, so that every state is reached on purpose, not by timing.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from unittest import mock

import numpy as np
import pytest
from numpy.typing import NDArray

from service.engine.bundle import Outputs
from service.engine.errors import AbandonedError, DeadlineError, UnavailableError
from service.engine.observer import Observer, Shed
from service.engine.policy import Policy
from service.engine.scheduler import Run, Scheduler
from service.engine.windows import Window

PATIENCE_S = 10.0  # only a broken scheduler ever waits so long


class GatedModel:
    """Answers each waveform with its first sample; runs as many groups as it is given permits."""

    def __init__(self) -> None:
        self.groups: list[list[float]] = []
        self.shapes: list[tuple[int, ...]] = []
        self.error: BaseException | None = None
        self._entered = threading.Semaphore(0)
        self._permits = threading.Semaphore(0)

    def __call__(self, waveforms: NDArray[np.float32]) -> Outputs:
        self.groups.append(waveforms[:, 0].tolist())
        self.shapes.append(waveforms.shape)
        self._entered.release()
        assert self._permits.acquire(timeout=PATIENCE_S)
        if self.error is not None:
            raise self.error
        first = waveforms[:, :1].copy()
        return Outputs(first, first, first[:, :, np.newaxis], first[:, :, np.newaxis])

    def entered(self, groups: int = 1) -> None:
        """Wait until so many more groups are being run."""
        for _ in range(groups):
            assert self._entered.acquire(timeout=PATIENCE_S)

    def permit(self, groups: int = 1) -> None:
        self._permits.release(groups)


class Counts(Observer):
    def __init__(self) -> None:
        self.reasons: list[Shed] = []
        self.sizes: list[int] = []

    def group(self, windows: int, seconds: float) -> None:
        self.sizes.append(windows)

    def shed(self, reason: Shed) -> None:
        self.reasons.append(reason)


Start = Callable[..., Scheduler]


@pytest.fixture
def model() -> GatedModel:
    return GatedModel()


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def start(model: GatedModel, counts: Counts) -> Iterator[Start]:
    started: list[Scheduler] = []

    def begin(**policy: object) -> Scheduler:
        scheduler = Scheduler(lambda: model, Policy(**{"workers": 1, "queue_windows": 100} | policy), counts)  # type: ignore[arg-type]
        started.append(scheduler)
        return scheduler

    yield begin
    model.permit(10_000)
    for scheduler in started:
        scheduler.close()


def window(name: float, samples: int = 8) -> Window:
    return Window(0, np.full(samples, name, np.float32))


def in_thread(work: Callable[[], object]) -> "tuple[threading.Thread, list[object]]":
    """Run in the background; the list holds what it returned or raised."""
    outcome: list[object] = []

    def body() -> None:
        try:
            outcome.append(work())
        except Exception as error:  # noqa: BLE001 - it is what the test looks at
            outcome.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    return thread, outcome


def healthy(scheduler: Scheduler) -> bool:
    return scheduler.healthy


def until(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    pause = threading.Event()
    while not reached():
        assert time.monotonic() < end
        pause.wait(0.001)


def test_recordings_take_turns_whatever_their_length(model: GatedModel, start: Start) -> None:
    scheduler = start()
    first, second = scheduler.admit(100), scheduler.admit(100)
    tasks = [scheduler.submit(first, window(name)) for name in range(4)]
    model.entered()
    tasks += [scheduler.submit(second, window(name)) for name in (10, 11)]
    model.permit(6)
    for task in tasks:
        scheduler.wait(first, task)
    assert model.groups == [[0], [10], [1], [11], [2], [3]]


def test_a_new_recording_stands_behind_one_window_however_many_long_ones_there_are(
    model: GatedModel, start: Start
) -> None:
    scheduler = start()
    longs = [scheduler.admit(100) for _ in range(5)]
    tasks = [scheduler.submit(long, window(0)) for long in longs]
    model.permit(5)
    for long, task in zip(longs, tasks, strict=True):
        scheduler.wait(long, task)
    model.entered(5)
    tasks = [scheduler.submit(long, window(1)) for long in longs]  # one is run, four wait
    model.entered()
    tasks.append(scheduler.submit(scheduler.admit(1), window(10)))
    model.permit(6)
    for task in tasks:
        scheduler.wait(longs[0], task)
    assert model.groups[6] == [10]


def test_a_flood_of_new_recordings_leaves_the_long_ones_every_other_window(
    model: GatedModel, start: Start
) -> None:
    scheduler = start()
    long = scheduler.admit(100)
    tasks = [scheduler.submit(long, window(name)) for name in (0, 1, 2)]
    model.entered()
    tasks += [scheduler.submit(scheduler.admit(1), window(name)) for name in (10, 11, 12, 13)]
    model.permit(9)
    for task in tasks:
        scheduler.wait(long, task)
    assert model.groups == [[0], [10], [1], [11], [2], [12], [13]]


def test_answers_come_in_order_and_belong_to_their_windows(model: GatedModel, start: Start) -> None:
    scheduler = start(workers=3)
    model.permit(50)
    with scheduler.admit(50) as job:
        answers = [(w.samples[0], out.tags[0, 0]) for w, out in job.map(window(n) for n in range(50))]
    assert answers == [(n, n) for n in range(50)]


def test_a_recording_takes_its_next_window_only_when_there_is_room(model: GatedModel, start: Start) -> None:
    scheduler = start()
    taken = 0

    def source() -> Iterator[Window]:
        nonlocal taken
        for name in range(1000):
            taken += 1
            yield window(name)

    with scheduler.admit(1000) as job:
        assert job.slots == 2
        answers = job.map(source())
        model.permit(10)
        for _ in range(10):
            next(answers)
        assert taken == 11


def test_windows_of_one_length_are_grouped_across_recordings(
    model: GatedModel, start: Start, counts: Counts
) -> None:
    scheduler = start(sizes=(1, 2), grouped_samples=8)
    first = scheduler.admit(1)
    head = scheduler.submit(first, window(0))
    model.entered()
    jobs = [scheduler.admit(4) for _ in range(4)]
    tasks = [
        (jobs[0], scheduler.submit(jobs[0], window(1))),
        (jobs[1], scheduler.submit(jobs[1], window(2, samples=5))),
        (jobs[3], scheduler.submit(jobs[3], window(6, samples=4))),
        (jobs[2], scheduler.submit(jobs[2], window(3))),
        (jobs[0], scheduler.submit(jobs[0], window(4))),
        (jobs[1], scheduler.submit(jobs[1], window(5, samples=5))),
    ]
    model.permit(10)
    for job, task in [(first, head), *tasks]:
        assert scheduler.wait(job, task).tags[0, 0] == task.window.samples[0]
    # odd lengths keep their places and are never grouped, not even with their own kind
    assert model.groups == [[0], [1, 3], [4], [2], [6], [5]]
    assert counts.sizes == [1, 2, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("queued", "groups"),
    [(2, [[1, 2]]), (4, [[1, 2], [3, 4]]), (8, [[1, 2, 3, 4], [5, 6], [7, 8]])],
)
def test_a_group_leaves_work_for_workers_that_will_be_free(
    model: GatedModel, start: Start, queued: int, groups: list[list[int]]
) -> None:
    scheduler = start(workers=2, sizes=(1, 2, 4))
    job = scheduler.admit(2 + queued)
    blockers = [scheduler.submit(job, window(0)) for _ in range(2)]
    model.entered(2)
    tasks = [scheduler.submit(job, window(name)) for name in range(1, queued + 1)]
    model.permit(1)  # one worker takes what it may, the other is busy
    model.entered(1)
    model.permit(9)
    for task in (*blockers, *tasks):
        scheduler.wait(job, task)
    assert sorted(model.groups) == [[0], [0], *groups]


def test_a_group_between_two_sizes_is_padded(model: GatedModel, start: Start) -> None:
    scheduler = start(sizes=(1, 2, 4))
    job = scheduler.admit(8)
    tasks = [scheduler.submit(job, window(0))]
    model.entered()
    tasks += [scheduler.submit(job, window(name)) for name in (1, 2, 3)]
    model.permit(9)
    assert [scheduler.wait(job, task).tags.tolist() for task in tasks] == [[[0]], [[1]], [[2]], [[3]]]
    assert model.shapes == [(1, 8), (4, 8)]


def test_a_worker_lingers_for_a_full_group(model: GatedModel, start: Start) -> None:
    scheduler = start(sizes=(1, 2), linger_s=100 * PATIENCE_S)
    job = scheduler.admit(8)
    first = scheduler.submit(job, window(1))
    until(lambda: scheduler.depth == 0)
    assert model.groups == []
    second = scheduler.submit(job, window(2))
    model.entered()  # at once, not when the time is up
    model.permit()
    scheduler.wait(job, first)
    scheduler.wait(job, second)
    assert model.groups == [[1, 2]]


def test_a_lingering_worker_runs_what_it_has_when_time_is_up(model: GatedModel, start: Start) -> None:
    scheduler = start(sizes=(1, 8), linger_s=0.001)
    model.permit()
    with scheduler.admit(1) as job:
        assert len(list(job.map([window(1)]))) == 1
    assert model.shapes == [(1, 8)]


def test_a_window_is_not_run_after_its_deadline(model: GatedModel, start: Start) -> None:
    scheduler = start()
    blocker = scheduler.admit(1)
    head = scheduler.submit(blocker, window(0))
    model.entered()
    late = scheduler.admit(1, deadline=time.monotonic() + 0.02)
    task = scheduler.submit(late, window(1))
    with pytest.raises(DeadlineError):
        scheduler.wait(late, task)
    model.permit(5)
    scheduler.wait(blocker, head)
    with scheduler.admit(1) as job:
        list(job.map([window(2)]))
    assert model.groups == [[0], [2]]
    assert isinstance(task.error, DeadlineError)


def test_who_waits_for_an_answer_sleeps(model: GatedModel, start: Start) -> None:
    job = start().admit(1, deadline=time.monotonic() + 60)
    with mock.patch.object(job.answered, "wait", wraps=job.answered.wait) as wait:
        thread, _ = in_thread(lambda: list(job.map([window(0)])))
        until(lambda: wait.called)
        model.permit()
        thread.join()
    assert all(0.1 < call.args[0] < 1 for call in wait.call_args_list)  # and looks whether its client left


def test_the_windows_of_a_client_that_left_are_dropped(model: GatedModel, start: Start) -> None:
    scheduler = start()
    blocker = scheduler.admit(1)
    head = scheduler.submit(blocker, window(0))
    model.entered()
    gone = threading.Event()
    leaving = scheduler.admit(5, cancelled=gone)
    thread, outcome = in_thread(lambda: list(leaving.map(window(n) for n in (1, 2))))
    until(lambda: scheduler.depth == 2)
    gone.set()
    model.permit(5)
    scheduler.wait(blocker, head)
    thread.join()
    assert isinstance(outcome[0], AbandonedError)
    with pytest.raises(AbandonedError):
        scheduler.submit(leaving, window(3))
    assert model.groups == [[0]]
    assert scheduler.depth == 0
    scheduler.release(leaving)
    assert (scheduler.depth, scheduler.jobs) == (0, 1)


def test_leaving_a_job_drops_what_it_has_queued(model: GatedModel, start: Start) -> None:
    scheduler = start()
    with scheduler.admit(9) as job:
        scheduler.submit(job, window(0))
        model.entered()
        scheduler.submit(job, window(1))
        assert (scheduler.depth, scheduler.jobs) == (1, 1)
    assert (scheduler.depth, scheduler.jobs) == (0, 0)
    model.permit(5)
    with scheduler.admit(2) as other:
        list(other.map([window(2), window(3)]))
    assert model.groups == [[0], [2], [3]]


def test_overload_is_refused_at_the_door_and_never_later(
    model: GatedModel, start: Start, counts: Counts
) -> None:
    scheduler = start(queue_windows=5)
    jobs = [scheduler.admit(100), scheduler.admit(100)]  # two slots each
    scheduler.ensure_room()
    with pytest.raises(UnavailableError, match="4 of 5 windows are taken"):
        scheduler.admit(2)
    jobs.append(scheduler.admit(1))
    with pytest.raises(UnavailableError, match="5 of 5"):
        scheduler.ensure_room()
    model.permit(100)
    for job in jobs:
        with job:
            assert len(list(job.map(window(n) for n in range(20)))) == 20
    scheduler.ensure_room(2)
    assert counts.reasons == ["overload", "overload"]


def test_a_recording_with_more_windows_than_the_queue_still_fits_alone(
    model: GatedModel, start: Start
) -> None:
    scheduler = start(queue_windows=1, workers=4)
    model.permit(10)
    with scheduler.admit(10) as job:
        assert len(list(job.map(window(n) for n in range(10)))) == 10


def test_who_is_refused_is_told_when_the_backlog_is_done(start: Start, model: GatedModel) -> None:
    scheduler = start(queue_windows=2)
    job = scheduler.admit(30)
    with pytest.raises(UnavailableError) as refused:
        scheduler.ensure_room()
    assert refused.value.retry_after_s == 1.0  # nothing measured yet
    model.permit(10)
    answers = job.map(window(n) for n in range(30))
    for _ in range(10):
        next(answers)
    rate = scheduler.rate
    assert rate is not None
    with pytest.raises(UnavailableError) as refused:
        scheduler.ensure_room()
    assert refused.value.retry_after_s == pytest.approx(20 / rate)


def test_the_rate_is_that_of_all_workers(start: Start, model: GatedModel) -> None:
    scheduler = start(workers=2)
    job = scheduler.admit(2)
    begun = time.monotonic()
    tasks = [scheduler.submit(job, window(n)) for n in range(2)]
    model.entered(2)
    threading.Event().wait(0.05)
    model.permit(2)
    for task in tasks:
        scheduler.wait(job, task)
    seconds = time.monotonic() - begun
    rate = scheduler.rate
    assert rate is not None
    assert 2 / seconds <= rate <= 2 / 0.05


def test_time_is_told_as_waiting_and_as_each_windows_share_of_a_run(start: Start, model: GatedModel) -> None:
    scheduler, pause = start(sizes=(1, 2)), threading.Event()
    job, begun = scheduler.admit(3), time.monotonic()
    tasks = [scheduler.submit(job, window(0))]
    model.entered()
    tasks += [scheduler.submit(job, window(name)) for name in (1, 2)]
    for _ in range(2):
        pause.wait(0.05)
        model.permit()
    for task in tasks:
        scheduler.wait(job, task)
    seconds = time.monotonic() - begun
    assert model.groups == [[0], [1, 2]]
    assert 2 * 0.05 <= job.waited_s <= 2 * seconds
    assert 0.05 <= job.inferred_s <= seconds
    assert scheduler.rate is not None
    assert scheduler.rate <= 1 / (0.95 * 0.05)  # a run weighs little in the mean


def test_a_hung_worker_is_noticed_and_nobody_waits_for_it(
    start: Start, model: GatedModel, counts: Counts
) -> None:
    scheduler = start(workers=3, hang_s=0.05)  # two will hang, one idles
    assert healthy(scheduler)
    job, queued = scheduler.admit(1), scheduler.admit(1)
    running = scheduler.submit(job, window(0))
    model.entered()
    waiting = scheduler.submit(queued, window(1))
    for owner, task in ((job, running), (queued, waiting)):
        with pytest.raises(UnavailableError, match="hangs or died"):
            scheduler.wait(owner, task)
    assert not healthy(scheduler)
    with pytest.raises(UnavailableError):
        scheduler.admit(1)
    assert counts.reasons == ["unhealthy"]
    model.permit(5)
    until(lambda: scheduler._running_since == [None] * 3)  # they were only slow
    assert healthy(scheduler)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_worker_is_noticed_and_nobody_waits_for_it(start: Start, model: GatedModel) -> None:
    scheduler = start(workers=2)
    model.error = SystemExit()
    model.permit()
    with scheduler.admit(1) as job, pytest.raises(UnavailableError, match="hangs or died"):
        list(job.map([window(0)]))
    assert not healthy(scheduler)


def test_a_failing_graph_fails_its_own_recording_and_in_the_end_the_service(
    start: Start, model: GatedModel
) -> None:
    scheduler = start()
    model.permit(10)

    def once() -> None:
        with scheduler.admit(1) as job:
            list(job.map([window(0)]))

    for fault in (RuntimeError("CUDA"), None, RuntimeError("CUDA"), RuntimeError("CUDA")):
        model.error = fault
        if fault is None:
            once()
        else:
            with pytest.raises(UnavailableError, match="failed on a window: CUDA"):
                once()
        assert healthy(scheduler)
    with pytest.raises(UnavailableError, match="failed on a window"):
        once()
    assert not healthy(scheduler)


def test_what_is_not_done_when_it_closes_is_given_up_and_nothing_new_is_taken(
    start: Start, model: GatedModel, counts: Counts
) -> None:
    scheduler = start()
    job = scheduler.admit(3)
    thread, outcome = in_thread(lambda: list(job.map(window(n) for n in range(3))))
    model.entered()
    closer, _ = in_thread(scheduler.close)
    thread.join()
    model.permit(1)
    closer.join()
    assert isinstance(outcome[0], UnavailableError)
    with pytest.raises(UnavailableError):
        scheduler.submit(job, window(3))
    with pytest.raises(UnavailableError, match="shutting down"):
        scheduler.admit(1)
    assert counts.reasons == ["draining"]
    assert model.groups == [[0]]


def test_closing_waits_for_workers_but_not_for_one_that_hangs(start: Start, model: GatedModel) -> None:
    scheduler = start(workers=2)
    scheduler.submit(scheduler.admit(1), window(0))
    model.entered()
    closer, closed = in_thread(scheduler.close)
    closer.join(PATIENCE_S)
    assert closed == [None]
    assert sorted(thread.is_alive() for thread in scheduler._threads) == [False, True]


def test_many_callers_get_each_their_own(start: Start, model: GatedModel) -> None:
    scheduler = start(workers=4, sizes=(1, 2), queue_windows=10_000)
    model.permit(10_000)
    threads = []
    for caller in range(64):

        def work(caller: int = caller) -> list[float]:
            names = range(1000 * caller, 1000 * caller + 1 + caller % 7)
            with scheduler.admit(len(names)) as job:
                source = (window(n, samples=8 + caller % 3) for n in names)
                return [float(out.tags[0, 0]) for _, out in job.map(source)]

        threads.append((caller, *in_thread(work)))
    for caller, thread, outcome in threads:
        thread.join()
        assert outcome == [[1000 * caller + n for n in range(1 + caller % 7)]]
    assert (scheduler.depth, scheduler.jobs) == (0, 0)


def test_a_long_recording_that_would_be_late_is_refused_and_told_when_it_would_not(
    start: Start, counts: Counts
) -> None:
    scheduler = start(queue_windows=1000)
    with scheduler.admit(100, deadline=time.monotonic() + 1):
        pass  # nothing measured yet
    scheduler._window_s = 0.1  # ten windows a second, of which five are certain
    until_then = time.monotonic() + 61
    for _ in range(3):
        scheduler.admit(100, deadline=until_then)  # 300 windows: just in time
    scheduler.admit(100, deadline=None)
    scheduler.admit(2, deadline=time.monotonic() + 0.5)  # short ones pass the long ones by
    with pytest.raises(UnavailableError, match="3 long recordings") as refused:
        scheduler.admit(100, deadline=until_then)
    # By then the three have 62 windows each: four recordings of those take as long as is left to the three.
    assert refused.value.retry_after_s == pytest.approx(11.4, abs=0.5)
    assert counts.reasons == ["overload"]


@pytest.mark.parametrize(("there_s", "new_s"), [(25, 1000), (1000, 25)])
def test_a_long_recording_that_would_be_late_or_make_another_late_is_refused(
    start: Start, there_s: float, new_s: float
) -> None:
    scheduler = start(queue_windows=1000)
    scheduler._window_s = 0.1
    scheduler.admit(100, deadline=time.monotonic() + there_s)
    with pytest.raises(UnavailableError, match="1 long recordings"):
        scheduler.admit(100, deadline=time.monotonic() + new_s)


def test_each_worker_makes_its_own_run_in_its_thread_one_after_the_other(model: GatedModel) -> None:
    made: list[tuple[str, int]] = []
    making = threading.Lock()

    def make_run() -> Run:
        assert making.acquire(blocking=False)  # nobody else is
        time.sleep(0.01)
        made.append((threading.current_thread().name, threading.get_ident()))
        making.release()
        return model

    scheduler = Scheduler(make_run, Policy(workers=3, queue_windows=4))
    assert [name for name, _ in made] == ["attloc-0", "attloc-1", "attloc-2"]
    assert len({*made, threading.get_ident()}) == 4
    assert scheduler.healthy
    assert all(thread.daemon for thread in scheduler._threads)  # one that hangs must not keep the process
    scheduler.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_that_cannot_begin_is_a_dead_one() -> None:
    def make_run() -> Run:
        raise RuntimeError("CUDA failure 2: out of memory")

    scheduler = Scheduler(make_run, Policy(workers=1, queue_windows=4))
    scheduler._threads[0].join()
    assert not scheduler.healthy
    with pytest.raises(UnavailableError, match="hangs or died"):
        scheduler.admit(1)
    scheduler.close()


def test_who_runs_the_graph_lets_the_others_go_first() -> None:
    ranks: list[int] = []

    def run(waveforms: NDArray[np.float32]) -> Outputs:
        ranks.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        first = waveforms[:, :1].copy()
        return Outputs(first, first, first[:, :, np.newaxis], first[:, :, np.newaxis])

    mine = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    scheduler = Scheduler(lambda: run, Policy(workers=1, queue_windows=4))
    with scheduler.admit(1) as job:
        list(job.map([Window(0, np.zeros(16, np.float32))]))
    scheduler.close()

    assert ranks == [min(19, mine + 10)]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == mine
