"""The figures of a run of bench/matrix.py, their bars, and the table that is printed of them."""

import statistics

# Who speaks with PostgreSQL. The first is the default.
BACKENDS = ["adbapi", "txpostgres"]
# How many sessions are idle.
IDLE_SESSIONS = 10_000
# Loads of now.v1: connections and calls in flight on each, and the bar of the ratio to pgbench for
# each of the backends.
CALLS = {
    (1, 1): (0.08, 0.15),
    (10, 1): (0.42, 0.52),
    (50, 1): (0.50, 0.85),
    (200, 1): (0.50, 0.95),
    (10, 16): (0.75, 1.8),
}
# Those whose system calls are counted.
COUNTED = [(50, 1), (10, 16)]

# The table's rows: the key of the figure, its name, its unit, its bar for all or for each of the
# backends, whether more is better.
FIGURES = [
    *((f"now {c}x{i}", f"now.v1, {c} x {i}", "of pgbench", bar, True)
      for (c, i), bar in CALLS.items()),
    ("echo 50x1", "echo through a WebSocket callee, 50 x 1", "of pgbench", 0.50, True),
    ("refused", "calls answered with an error, of all above", "calls", 0, False),
    ("p99 half", "p99 at 50 connections and half the peak rate", "x p50 of 1 x 1", 10, False),
    ("idle session", f"{IDLE_SESSIONS:,} idle sessions, resident memory of each", "KiB", 8, False),
    ("crowded", f"now.v1, 50 x 1, with {IDLE_SESSIONS:,} idle sessions", "of before", 0.9, True),
    ("joins", f"{IDLE_SESSIONS:,} sessions joining", "joins/s", 8_000, True),
    ("events 100", "1 publisher to 100 subscribers", "events/s", 250_000, True),
    ("events 1000", "1 publisher to 1,000 subscribers", "events/s", 250_000, True),
    ("start", "start to first answered call, database running", "ms", 50, False),
    ("idle memory", "node idle, resident memory", "MiB", 12, False),
    ("idle cpu", "node idle, processor time", "ms/s", 0, False),
]


def number(value):
    """A figure with as many digits as are of use."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def median(values, key):
    """The median of a figure, as it is printed."""
    return number(statistics.median(values[key]))


def spread(values, key):
    """The smallest and the largest value of a figure."""
    return f"{number(min(values[key]))} to {number(max(values[key]))}"


def verdict(values, figure, backend):
    """The bar of a figure for a backend, and whether its median meets it."""
    key, _, _, bar, more = figure
    bar = bar[BACKENDS.index(backend)] if isinstance(bar, tuple) else bar
    middle = statistics.median(values[key])
    met = middle >= bar if more else middle <= bar
    return f"{'>=' if more else '<='} {number(bar)}", "met" if met else "MISSED"


def aligned(rows):
    """The lines of a table, as Markdown that reads as plain text too. The first row is its head."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for place, row in enumerate(rows):
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
        if place == 0:
            yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"


def alone(backend, values):
    """The rows for one backend."""
    yield "figure", "bar", "median", "min", "max", "", "calls/s"
    for figure in FIGURES:
        key, name, unit, _, _ = figure
        bar, met = verdict(values, figure, backend)
        rate = f"{key} calls/s"
        yield (
            f"{name} ({unit})", bar, median(values, key), number(min(values[key])),
            number(max(values[key])), met, median(values, rate) if rate in values else "",
        )


def side_by_side(backends):
    """The rows for several backends: each with its median, its spread and its bar."""
    head = ["figure"]
    for backend in backends:
        head += [backend, "min to max", "bar", ""]
    yield head
    for figure in FIGURES:
        key, name, unit, _, _ = figure
        row = [f"{name} ({unit})"]
        for backend, values in backends.items():
            row += [median(values, key), spread(values, key), *verdict(values, figure, backend)]
        yield row
    for connections, inflight in CALLS:
        key = f"now {connections}x{inflight} calls/s"
        row = [f"now.v1, {connections} x {inflight} (calls/s)"]
        for values in backends.values():
            row += [median(values, key), spread(values, key), "", ""]
        yield row


def system_calls(backends):
    """The rows of what was counted; none if nothing was."""
    if not all("clients 50x1" in values for values in backends.values()):
        return
    yield "system calls a call", *backends
    for connections, inflight in COUNTED:
        load = f"{connections}x{inflight}"
        for side, name in [
            ("clients", "reads and writes of clients' sockets"),
            ("database", "reads and writes of the database's sockets"),
            ("waiting", "`epoll_wait`, `futex` and `sched_yield`, of all threads"),
        ]:
            counted = (median(values, f"{side} {load}") for values in backends.values())
            yield f"{connections} x {inflight}: {name}", *counted


def remarks(name, values):
    """What there is to say besides the table about one backend."""
    yield (
        f"{name}pgbench: {median(values, 'pgbench tps')} tps ({spread(values, 'pgbench tps')}); "
        f"p50 of 1 x 1: {median(values, 'p50 1x1 us')} us; p99 at half the peak rate: "
        f"{median(values, 'p99 half us')} us."
    )
    asleep = [
        f"{c} x {i} {median(values, f'now {c}x{i} asleep')}"
        for c, i in CALLS if f"now {c}x{i} asleep" in values
    ]
    if asleep:
        yield (
            "now.v1 as a client sees it that sleeps while it waits, of pgbench: "
            f"{', '.join(asleep)}."
        )
    key = "echo p99 half us"
    yield (
        "The p99 of echo at 50 connections and half its own peak rate: "
        f"{median(values, key)} us ({spread(values, key)})."
    )


def table(results):
    """The table's lines: each figure beside its bar."""
    of = results["machine"]
    yield (
        f"{of['processors']} x {of['processor']}, Linux {of['kernel']}, {of['date']}, "
        f"{of['commit']}; others used {of['busy']:.0%} of the processors when it began; "
        f"{results['rounds']} round(s) of {results['seconds']} s a load."
    )
    yield ""
    backends = results["backends"]
    if len(backends) == 1:
        [(backend, values)] = backends.items()
        yield from aligned(list(alone(backend, values)))
    else:
        yield from aligned(list(side_by_side(backends)))
    yield ""
    counted = list(system_calls(backends))
    if counted:
        yield from aligned(counted)
        yield ""
    for backend, values in backends.items():
        yield from remarks(f"{backend}: " if len(backends) > 1 else "", values)
    first = next(iter(backends.values()))
    yield (
        "The p99 of pgbench itself, 10 connections at half its own tps: "
        f"{median(first, 'pgbench p99 half')} ({spread(first, 'pgbench p99 half')}) x the p50 of "
        "one connection."
    )
    machine = results["values"]
    yield (
        "The machine itself, idle, stood still for more than 0.2 ms at a time during "
        f"{median(machine, 'stood still %')} % of the time ({spread(machine, 'stood still %')})."
    )
    yield (
        "A byte from the first processor to the last and back: "
        f"{median(machine, 'crossing us')} us ({spread(machine, 'crossing us')})."
    )
