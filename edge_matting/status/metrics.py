"""Prometheus metrics, read from the appliance at each scrape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from edge_matting.core.device_values import Vitals
from edge_matting.core.states import FINISHED, JobState
from edge_matting.status.interfaces import (
    ApplianceInterface,
    ApplianceState,
    CacheReport,
    FolderReport,
    JobReader,
    StatusSnapshot,
    WorkReport,
)
from edge_matting.status.redaction import short_names
from edge_matting.status.render import display


def registry(appliance: ApplianceInterface, jobs: JobReader, *, trusted: bool) -> CollectorRegistry:
    """A registry of its own for each app: two apps in one process do not meet.

    The folders' labels are their paths for who is ``trusted``, and names for everybody else.
    """
    own = CollectorRegistry(auto_describe=False)
    own.register(ApplianceCollector(appliance, jobs, trusted=trusted))
    return own


class ApplianceCollector(Collector):
    """Reads one snapshot a scrape, so that the figures fit together."""

    def __init__(self, appliance: ApplianceInterface, jobs: JobReader, *, trusted: bool) -> None:
        self._appliance = appliance
        self._jobs = jobs
        self._trusted = trusted

    def collect(self) -> Iterator[Metric]:
        snapshot = self._appliance.snapshot()
        yield _gauge("ready", "1 when photos can be worked on", not self._appliance.readiness())
        yield _gauge("healthy", "0 when the appliance is stuck", not self._appliance.health())
        yield from _identity(snapshot)
        yield from _work(snapshot, self._jobs.counts())
        work = self._appliance.work()
        yield from _finished(work)
        yield from _cache(snapshot.cache, work)
        yield from _engine(snapshot)
        yield from _folders(snapshot.folders, trusted=self._trusted)
        yield _gauge(
            "state_free_bytes", "Free space where the ledger lies", snapshot.state_free_bytes
        )
        yield from _device(snapshot.vitals)


def _identity(snapshot: StatusSnapshot) -> Iterator[Metric]:
    yield _labelled("build_info", "Version in the label", "version", [(snapshot.version, 1)])
    yield _gauge("start_time_seconds", "Start of the appliance, Unix time", snapshot.started_at)
    states = [(state.value, state is snapshot.state) for state in ApplianceState]
    yield _labelled("state", "1 for the state the appliance is in", "state", states)


def _work(snapshot: StatusSnapshot, counts: Mapping[JobState, int]) -> Iterator[Metric]:
    by_state = [(state.value, counts.get(state, 0)) for state in JobState]
    yield _labelled("jobs", "Jobs in the ledger by state", "state", by_state)
    queue = snapshot.queue
    yield _gauge("queue_depth", "Jobs that wait", counts.get(JobState.PENDING, 0))
    # Nothing waits: an age of 0, for an alert on it must be able to end.
    oldest = queue.oldest_pending_seconds or 0
    yield _gauge("queue_oldest_age_seconds", "Age of the oldest waiting job", oldest)
    yield _gauge("queue_eta_seconds", "Estimated time until the queue is empty", queue.eta_seconds)


def _cache(cache: CacheReport, work: WorkReport) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "edge_matting_cache_requests",
        "Photos since the start by what the cache said",
        labels=["result"],
    )
    for result in ("exact", "matte", "perceptual", "miss", "rejected"):
        requests.add_metric([result], work.cache.get(result, 0))
    yield requests
    yield CounterMetricFamily(
        "edge_matting_cache_saved_seconds",
        "Work saved by the cache since the start, estimated",
        value=cache.saved_seconds or 0.0,
    )
    stored = [("memory", cache.memory_bytes), ("disk", cache.disk_bytes)]
    yield _labelled("cache_bytes", "Size of the stored mattes", "store", stored)
    yield _gauge("cache_entries", "Stored mattes", cache.entries)
    yield CounterMetricFamily(
        "edge_matting_cache_evictions",
        "Entries that had to leave since the start of the work process",
        value=cache.evictions,
    )


def _finished(work: WorkReport) -> Iterator[Metric]:
    finished = CounterMetricFamily(
        "edge_matting_jobs_finished",
        "Jobs finished since the start, by state and reason",
        labels=["state", "reason"],
    )
    # All states from the start on, for a counter that appears late hides its first increase.
    known = {(state, ""): 0 for state in sorted(FINISHED)} | dict(work.finished)
    for (state, reason), number in known.items():
        finished.add_metric([state.value, display(reason)], number)
    yield finished
    yield from work.histograms


def _engine(snapshot: StatusSnapshot) -> Iterator[Metric]:
    engine = snapshot.engine
    yield CounterMetricFamily(
        "edge_matting_engine_restarts", "Engine restarts since the start", value=engine.restarts
    )
    adapted = CounterMetricFamily(
        "edge_matting_adaptations",
        "Steps of the plan down and up since the start",
        labels=["cause", "direction"],
    )
    for each in snapshot.adaptation.counts:
        adapted.add_metric([each.cause, each.direction], each.count)
    yield adapted
    yield _gauge("engine_up", "1 while there is an engine process", engine.pid is not None)
    yield _gauge(
        "engine_progress_age_seconds", "Age of the last progress", engine.last_progress_seconds
    )
    if snapshot.execution is not None:
        used = snapshot.execution
        info = GaugeMetricFamily(
            "edge_matting_execution_info",
            "Execution provider asked for and in use",
            labels=["requested", "actual", "precision"],
        )
        info.add_metric([used.requested, used.actual or "", used.precision or ""], 1)
        yield info
        nodes = [(provider, count) for provider, count in used.nodes.items()]
        yield _labelled("execution_nodes", "Nodes of the model's graph", "provider", nodes)
        seconds = [("in_use", used.seconds), ("cpu", used.cpu_seconds)]
        yield _labelled(
            "execution_reference_seconds", "One picture through the model", "provider", seconds
        )
        yield _gauge("execution_missing", "1 without what was asked for", used.cause is not None)
        yield _gauge(
            "self_test_difference", "Mean absolute difference to the known matte", used.self_test
        )


def _folders(folders: Sequence[FolderReport], *, trusted: bool) -> Iterator[Metric]:
    paths = [f.path for f in folders]
    names = {path: path for path in paths} if trusted else short_names(paths)
    known = [(names[f.path], f.free_bytes) for f in folders]
    yield _labelled("folder_free_bytes", "Free space where the folder lies", "folder", known)
    usable = [(names[f.path], f.problem is None) for f in folders]
    yield _labelled("folder_usable", "0 when the folder has a problem", "folder", usable)


def _device(vitals: Vitals) -> Iterator[Metric]:
    loads = [("cpu", _ratio(vitals.cpu_percent)), ("gpu", _ratio(vitals.gpu_percent))]
    yield _labelled("device_load_ratio", "Load, 0 to 1", "unit", loads)
    heat = [
        ("cpu", vitals.cpu_celsius),
        ("gpu", vitals.gpu_celsius),
        ("junction", vitals.junction_celsius),
    ]
    yield _labelled("device_temperature_celsius", "Temperature", "unit", heat)
    yield _gauge(
        "device_heat_headroom_celsius",
        "Distance to the temperature that slows the device down",
        vitals.heat_headroom_celsius,
    )
    yield _gauge(
        "device_memory_available_bytes", "Main memory available", vitals.memory_available_bytes
    )
    yield _gauge("device_gpu_memory_used_bytes", "GPU memory in use", vitals.gpu_memory_used_bytes)
    yield _gauge("device_throttled", "1 while the device slows itself down", vitals.throttled)
    yield from _power(vitals)


def _power(vitals: Vitals) -> Iterator[Metric]:
    words = [(word, 1.0) for word in vitals.slowdowns or ()]
    yield _labelled("device_slowdown", "1 for each cause that slows it down", "cause", words)
    mode = [(vitals.power_mode, 1.0)] if vitals.power_mode is not None else []
    yield _labelled("device_power_mode_info", "Power mode in the label", "mode", mode)
    yield _gauge("device_cpu_clock_limit_hertz", "Processor clock cap", vitals.cpu_clock_limit_hz)
    yield _gauge("device_gpu_clock_hertz", "GPU clock", vitals.gpu_clock_hz)
    yield _gauge("device_gpu_clock_limit_hertz", "GPU clock cap", vitals.gpu_clock_limit_hz)
    rails = [(rail.name, rail.milliwatts / 1000) for rail in vitals.rails]
    yield _labelled("device_rail_power_watts", "Power by supply rail", "rail", rails)
    yield _gauge("device_gpu_power_watts", "GPU power", _thousandth(vitals.gpu_power_milliwatts))
    events = CounterMetricFamily(
        "edge_matting_device_over_current_events", "Over-current events since the start"
    )
    if vitals.over_current_events is not None:
        events.add_metric([], vitals.over_current_events)
    yield events
    stalls = [
        ("some", _ratio(vitals.memory_some_stall_percent)),
        ("full", _ratio(vitals.memory_full_stall_percent)),
    ]
    yield _labelled("device_memory_stall_ratio", "Time lost to memory, 10 s mean", "tasks", stalls)
    yield _gauge("device_readings_time_seconds", "When these readings were taken", vitals.taken_at)


def _gauge(name: str, text: str, value: float | None) -> Metric:
    """A gauge; without a sample where there is no reading, for 0 would be a lie."""
    family = GaugeMetricFamily(f"edge_matting_{name}", text)
    if value is not None:
        family.add_metric([], float(value))
    return family


def _labelled(
    name: str, text: str, label: str, samples: Iterable[tuple[str, float | None]]
) -> Metric:
    family = GaugeMetricFamily(f"edge_matting_{name}", text, labels=[label])
    for key, value in samples:
        if value is not None:
            family.add_metric([display(key)], float(value))
    return family


def _ratio(percent: float | None) -> float | None:
    return None if percent is None else percent / 100


def _thousandth(milli: float | None) -> float | None:
    return None if milli is None else milli / 1000
