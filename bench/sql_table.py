"""The figures of a run of bench/sql.py, their bars, and the tables that are printed of them."""

from table import aligned, median, spread, verdict

# Loads of now(): connections and calls in flight on each.
LOADS = [(1, 1), (50, 1), (10, 16)]
# The rows of a stream, how many streams run at once, and how many quick calls a second beside them.
ROWS, STREAMS, QUICK = 1_000_000, 10, 500
# How many sessions subscribe, and how many commits a second there are where it is not all that can be.
SUBSCRIBERS, PACE = 100, 1_000

# The tables' rows: the key of the figure, its name, its unit, its bar if there is one, whether more is
# better.
PARTS = {
    "now": [
        *((f"now {c}x{i}", f"SELECT now() as a file, {c} x {i}", "of now.v1", 0.95, True)
          for c, i in LOADS),
        *((f"now {c}x{i} calls/s", f"the same, {c} x {i}", "calls/s", None, True)
          for c, i in LOADS),
    ],
    "rows": [
        ("rows", "10 rows x 6 columns, 10 x 16", "of pgbench", None, True),
        ("rows calls/s", "the same", "calls/s", None, True),
        ("told", "the same with identity", "of pgbench", None, True),
        ("told calls/s", "the same with identity", "calls/s", None, True),
        ("rows tps", "pgbench with the same statement", "tps", None, True),
    ],
    "stream": [
        ("stream memory", f"a stream of {ROWS:,} rows: memory of the node", "MiB more", 32, False),
        ("stream", "the same: time", "of psql's copy", None, False),
        ("stream s", "the same: time", "s", None, False),
        ("copy s", "psql copying the same to /dev/null", "s", None, False),
        ("streams rows/s", f"{STREAMS} such streams at once", "rows/s", None, True),
        ("streams memory", "the same: memory of the node", "MiB more", None, False),
        ("quick p99", f"{QUICK} quick calls a second alone: p99", "ms", None, False),
        ("quick p99 streams", f"beside {STREAMS} streams: p99", "ms", None, False),
    ],
    "outbox": [
        ("commits", f"commits with the outbox and {SUBSCRIBERS} subscribers", "of without", None, True),
        ("commits/s outbox", "the same", "commits/s", None, True),
        ("commits/s plain", "without", "commits/s", None, True),
        ("events/s", "events delivered", "events/s", None, True),
        ("lost", "events lost or doubled", "events", 0, False),
        ("delay p50 full", "delay at full speed, p50", "ms", None, False),
        ("delay p99 full", "delay at full speed, p99", "ms", None, False),
        ("delay p50 pace", f"delay at {PACE:,} commits/s, p50", "ms", None, False),
        ("delay p99 pace", f"delay at {PACE:,} commits/s, p99", "ms", None, False),
    ],
}


def rows(part, backends):
    """The rows of one part: each figure with its median, its spread and its bar, for each backend."""
    head = ["figure", "bar"]
    for backend in backends:
        head += [backend, "min to max", ""]
    yield head
    for figure in PARTS[part]:
        key, name, unit, bar, _ = figure
        if any(key not in values for values in backends.values()):
            # The last run was that of a version without it.
            continue
        cells, limit = [], ""
        for backend, values in backends.items():
            met = ""
            if bar is not None:
                limit, met = verdict(values, figure, backend)
            cells += [median(values, key), spread(values, key), met]
        yield [f"{name} ({unit})", limit, *cells]


def tables(results):
    """The lines of all parts' tables, each below the machine and the version it was measured on."""
    for part, result in results.items():
        of = result["machine"]
        yield (
            f"{part}: {of['processors']} x {of['processor']}, Linux {of['kernel']}, {of['date']}, "
            f"{of['commit']}; others used {of['busy']:.0%} of the processors when it began; "
            f"{result['rounds']} round(s) of {result['seconds']} s a load."
        )
        yield ""
        yield from aligned(list(rows(part, result["backends"])))
        yield ""
