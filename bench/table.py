"""The figures of a run of bench/matrix.py, their bars, and the table that is printed of them."""

import statistics

# How many sessions are idle.
IDLE_SESSIONS = 10_000
# Loads of now.v1: connections, calls in flight on each, and the bar of the ratio to pgbench.
CALLS = [(1, 1, 0.08), (10, 1, 0.42), (50, 1, 0.50), (200, 1, 0.50), (10, 16, 0.75)]

# The table's rows: the key of the figure, its name, its unit, its bar, whether more is better.
FIGURES = [
    *((f"now {c}x{i}", f"now.v1, {c} x {i}", "of pgbench", bar, True) for c, i, bar in CALLS),
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


def table(results):
    """The table's lines: each figure beside its bar, as Markdown that reads as plain text too."""
    of = results["machine"]
    yield (
        f"{of['processors']} x {of['processor']}, Linux {of['kernel']}, {of['date']}, "
        f"{of['commit']}; others used {of['busy']:.0%} of the processors when it began; "
        f"{results['rounds']} round(s) of {results['seconds']} s a load."
    )
    yield ""
    values = results["values"]
    rows = [("figure", "bar", "median", "min", "max", "", "calls/s")]
    for key, name, unit, bar, more in FIGURES:
        middle = statistics.median(values[key])
        met = middle >= bar if more else middle <= bar
        rate = values.get(f"{key} calls/s")
        rows.append((
            f"{name} ({unit})", f"{'>=' if more else '<='} {number(bar)}", number(middle),
            number(min(values[key])), number(max(values[key])), "met" if met else "MISSED",
            number(statistics.median(rate)) if rate else "",
        ))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for place, row in enumerate(rows):
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
        if place == 0:
            yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    yield ""
    tps, latency, late = (
        values[name] for name in ("pgbench tps", "p50 1x1 us", "p99 half us")
    )
    yield (
        f"pgbench: {number(statistics.median(tps))} tps ({number(min(tps))} to "
        f"{number(max(tps))}); p50 of 1 x 1: {number(statistics.median(latency))} us; p99 at half "
        f"the peak rate: {number(statistics.median(late))} us."
    )
    asleep = [
        f"{c} x {i} {number(statistics.median(values[f'now {c}x{i} asleep']))}"
        for c, i, _ in CALLS if f"now {c}x{i} asleep" in values
    ]
    if asleep:
        yield (
            "now.v1 as a client sees it that sleeps while it waits, of pgbench: "
            f"{', '.join(asleep)}."
        )
    echo = values["echo p99 half us"]
    yield (
        "The p99 of echo at 50 connections and half its own peak rate: "
        f"{number(statistics.median(echo))} us ({number(min(echo))} to {number(max(echo))})."
    )
    own = values["pgbench p99 half"]
    yield (
        "The p99 of pgbench itself, 10 connections at half its own tps: "
        f"{number(statistics.median(own))} ({number(min(own))} to {number(max(own))}) x the p50 of "
        "one connection."
    )
    still = values["stood still %"]
    yield (
        "The machine itself, idle, stood still for more than 0.2 ms at a time during "
        f"{number(statistics.median(still))} % of the time ({number(min(still))} to "
        f"{number(max(still))})."
    )
    crossings = values["crossing us"]
    yield (
        "A byte from the first processor to the last and back: "
        f"{number(statistics.median(crossings))} us ({number(min(crossings))} to "
        f"{number(max(crossings))})."
    )
