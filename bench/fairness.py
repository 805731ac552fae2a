"""How long quick calls take beside thirty statements of 5 s on ten connections, with each backend, with
and without a `concurrency` of the slow procedure. Prints a table.

Usage: fairness.py PROGRAM [BACKEND ...]
  PROGRAM  cargo build --release --example slow_and_quick; its node and its generator
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

import matrix
from table import BACKENDS, aligned, number

SLOW = 30
CONCURRENCIES = [None, 5]
# Quick calls a second, and for how long they are measured.
RATE, SECONDS = 500, 8


def change(config, concurrency):
    """Makes the component of a configuration the slow and quick one."""
    component = config["workers"][1]["components"][0]
    component["classname"] = "bench.SlowAndQuick"
    if concurrency:
        component["extra"]["procedures"] = {"com.example.slow": {"concurrency": concurrency}}


def measure(program, backend, concurrency, database, scratch):
    """The latencies of quick calls without slow ones and beside them, and the seconds until all slow
    ones were answered."""
    edit = lambda config: change(config, concurrency)
    with matrix.Node(program, scratch / "node", database, backend=backend, edit=edit) as node:
        generator = [program, "bench", "--url", node.url, "--timeout", "60"]
        file = scratch / "quick.json"
        quick = [
            *generator, "--procedure", "com.example.quick", "--connections", "10", "--rate",
            str(RATE), "--json", file,
        ]
        slow = [*generator, "--procedure", "com.example.slow", "--connections", str(SLOW)]
        latencies = []
        subprocess.run([*quick, "--duration", "2"], check=True, stdout=subprocess.DEVNULL)
        latencies.append(json.loads(file.read_text())["latency_us"])
        # Its kind is known from here on, as it would be after the first call of the day.
        subprocess.run([*slow[:-1], "1", "--calls", "1"], check=True, stdout=subprocess.DEVNULL)
        began = time.monotonic()
        with subprocess.Popen([*slow, "--calls", str(SLOW)], stdout=subprocess.DEVNULL) as all_slow:
            time.sleep(0.5)
            subprocess.run(
                [*quick, "--duration", str(SECONDS)], check=True, stdout=subprocess.DEVNULL
            )
            latencies.append(json.loads(file.read_text())["latency_us"])
            if all_slow.wait():
                sys.exit("slow calls failed")
        return latencies, time.monotonic() - began


def main():
    program, *backends = sys.argv[1:] or sys.exit(__doc__)
    program = pathlib.Path(program).resolve()
    rows = [["backend", "`concurrency` of the slow", "quick alone, p99 (ms)",
             "beside the slow: p50 (ms)", "p99 (ms)", "slow ones all answered (s)"]]
    with tempfile.TemporaryDirectory(prefix="wampgres-fairness-") as directory:
        scratch = pathlib.Path(directory)
        # The server of the private PostgreSQL may run as another user.
        scratch.chmod(0o755)
        with matrix.Node(program, scratch / "owner") as owner:
            for backend in backends or BACKENDS:
                for concurrency in CONCURRENCIES:
                    (alone, beside), seconds = measure(
                        program, backend, concurrency, owner.database, scratch
                    )
                    ms = [alone["p99"], beside["p50"], beside["p99"]]
                    rows.append([backend, str(concurrency or "none"),
                                 *(number(us / 1000) for us in ms), number(seconds)])
                    matrix.say(f"{rows[-1]}")
    print("\n".join(aligned(rows)))


if __name__ == "__main__":
    main()
