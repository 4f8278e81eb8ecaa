#!/usr/bin/env python3
"""packtrail beside chDB, DuckDB, polars and jq on the same files, and beside the floor: inflating them and nothing else.

README.md says what is measured and how. Needs Rust, a C compiler, Python 3.9 or newer, jq and the network for pip; Linux.
"""

import argparse
import json
import math
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
MIB = 1 << 20
# A tool whose first run takes longer gets three rounds.
SLOW_SECONDS = 30
PEERS = ["chdb", "polars", "duckdb", "jq"]
TOOLS = ["floor", "packtrail", "gzip", *PEERS]
SHOWN = {"floor": "floor (libdeflate alone)", "gzip": "gzip -dc", "chdb": "chDB", "duckdb": "DuckDB"}


class Corpus:
    """A folder of log files: what makes it, who reads it, and how often; `batch` files go to one process of gzip and jq."""

    def __init__(self, shape, tools, rounds=5, object_bytes=8 * MIB, batch=50):
        self.files, *self.shape = shape
        self.tools, self.rounds, self.object_bytes, self.batch = tools, rounds, object_bytes, batch


OURS = ["floor", "packtrail"]
# files, records a file, share of STS calls, distinct requests, form; 3,220 records are 3.4 MB of JSON, 14 are 2 KB of gzip.
CORPORA = {
    "large": Corpus([250, 3220, 0.06, 500], TOOLS),
    "distinct": Corpus([250, 3220, 0.06, 1_000_000_000], TOOLS),
    "small": Corpus([200_000, 14, 0.06, 500], TOOLS, batch=500),
    "one-member": Corpus([294, 3220, 0.06, 500, "one-member"], TOOLS, rounds=3, object_bytes=1200 * MIB),
    "members": Corpus([294, 3220, 0.06, 500, "members"], OURS + ["gzip"]),
    "scale-25": Corpus([25, 3220, 0.06, 500], OURS),
    "scale-250": Corpus([250, 3220, 0.06, 500], OURS),
    "scale-2500": Corpus([2500, 3220, 0.06, 500], OURS),
    "million": Corpus([3000, 3334, 0.1, 500], OURS, rounds=3),
}
SCALE = ["scale-25", "scale-250", "scale-2500"]
# What is chosen together and measured in turn.
GROUPS = {
    **{name: [name] for name in ["large", "distinct", "small", "one-member", "members"]},
    "scale": SCALE,
    "million": ["million"],
}
# Made for their own measurement and removed after it, since they are large.
PASSING = ["scale-2500", "million"]


def main():
    options = arguments()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    bench = Bench(options, work)
    began = time.monotonic()
    print(bench.conditions(), flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("run.py: stopped"))
    try:
        if options.start_up:
            bench.start_up()
        for group in options.corpora:
            bench.measure(GROUPS[group])
    finally:
        # Also of a run that is stopped: what was measured until then.
        print(bench.report())
        print(f"\nThe whole took {(time.monotonic() - began) / 60:.0f} minutes, corpora and set-up included.")
    for problem in bench.problems:
        print(f"run.py: {problem}", file=sys.stderr)
    return 1 if bench.problems else 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packtrail", type=Path, default=HERE / "../../target/release/packtrail", help="the release build to measure")
    parser.add_argument("--corpora", type=names(GROUPS), default=list(GROUPS), help=f"of {','.join(GROUPS)}; all by default")
    parser.add_argument("--tools", type=names(TOOLS), default=TOOLS, help=f"of {','.join(TOOLS)}; all by default")
    parser.add_argument("--rounds", type=int, help="instead of 5, and 3 where one takes long")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of each tool; all cores by default")
    parser.add_argument("--quick", action="store_true", help="corpora of a tenth of the size, 3 rounds")
    parser.add_argument("--work", type=Path, default=HERE / "target/work", help="where corpora and peers are kept; 4 GB, 5 for a while")
    parser.add_argument("--keep", action="store_true", help=f"do not remove {' and '.join(PASSING)} afterwards")
    parser.add_argument("--limit-seconds", type=float, default=300, help="a run that takes longer is ended (300)")
    parser.add_argument("--limit-gb", type=float, default=12, help="a run that takes more memory is ended (12)")
    parser.add_argument("--no-start-up", dest="start_up", action="store_false", help="do not time one small file")
    options = parser.parse_args()
    if not options.packtrail.is_file():
        parser.error(f"no packtrail at `{options.packtrail}`: cargo build --release, or --packtrail")
    options.packtrail = options.packtrail.resolve()
    return options


def names(known):
    def read(text):
        chosen = text.split(",")
        unknown = [name for name in chosen if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}")
        return [name for name in known if name in chosen]

    return read


class Run:
    """One run: seconds on the clock and of processors, peak memory of its largest process; what it printed, its last line beside that, or why it has no
    answer."""

    def __init__(self, seconds, cpu_seconds, peak_bytes, output, last_line, failure):
        self.seconds, self.cpu_seconds, self.peak_bytes = seconds, cpu_seconds, peak_bytes
        self.output, self.last_line, self.failure = output, last_line, failure


def run(command, limit_seconds, limit_bytes):
    """Runs `command` to its end or to a limit."""
    told = tempfile.TemporaryFile()
    start = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=told, start_new_session=True)
    over = []
    ended = threading.Event()

    def watch():
        while not ended.wait(0.25):
            if time.monotonic() - start > limit_seconds:
                over.append(f"over {limit_seconds:.0f} s")
            elif resident_bytes(process.pid) > limit_bytes:
                over.append(f"over {limit_bytes / 1e9:.0f} GB")
            if over:
                os.killpg(process.pid, signal.SIGKILL)
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        output = process.stdout.read().decode(errors="replace")
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    finally:
        ended.set()
        watcher.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    told.seek(0)
    last_line = (told.read().decode(errors="replace").strip().splitlines() or [""])[-1]
    failure = None
    if over:
        failure = over[0]
    elif process.returncode != 0:
        failure = last_line.replace("|", "/") or f"exit code {process.returncode}"
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, output, last_line, failure)


def resident_bytes(group):
    """Of all processes of one session."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == group:
            total += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    return total


class Bench:
    def __init__(self, options, work):
        self.options, self.work, self.problems = options, work, []
        self.runs = {}  # corpus -> tool -> runs
        self.right = {}  # corpus -> the answer
        self.sizes = {}  # corpus -> what the floor prints
        self.calls = {}  # corpus -> calls, requests, bytes of policies
        self.start_up_runs = []
        self.load_before = os.getloadavg()[0]
        subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=HERE, check=True)
        self.python = work / "venv/bin/python"
        if any(peer in options.tools for peer in PEERS[:3]):
            stamp = work / "venv/requirements.txt"
            wanted = (HERE / "requirements.txt").read_text()
            if not stamp.exists() or stamp.read_text() != wanted:
                subprocess.run([sys.executable, "-m", "venv", "--clear", work / "venv"], check=True)
                subprocess.run([self.python, "-m", "pip", "install", "--quiet", "-r", HERE / "requirements.txt"], check=True)
                stamp.write_text(wanted)
        # What is measured must not change meanwhile.
        self.packtrail = work / "packtrail"
        shutil.copy2(options.packtrail, self.packtrail)

    def binary(self, name):
        return HERE / "target/release" / name

    def corpus(self, name):
        """The folder of a corpus, made unless it is there."""
        corpus = CORPORA[name]
        files = max(1, corpus.files // 10) if self.options.quick else corpus.files
        shape = [str(value) for value in [files, *corpus.shape]]
        directory = self.work / "corpora" / (name + "-quick" * self.options.quick)
        stamp = Path(f"{directory}.shape")
        if not stamp.exists() or stamp.read_text() != " ".join(shape):
            shutil.rmtree(directory, ignore_errors=True)
            subprocess.run([self.binary("corpus"), directory, *shape], check=True)
            stamp.write_text(" ".join(shape))
        return directory

    def command(self, tool, directory, corpus):
        threads = str(self.options.threads)
        if tool == "floor":
            return [self.binary("inflate"), directory, threads]
        if tool == "packtrail":
            return [self.packtrail, "analyze", directory, "--out", self.work / "out", "--log-format", "json", "--threads", threads]
        if tool == "gzip":
            return ["sh", "-c", f"find '{directory}' -name '*.gz' -print0 | xargs -0 -P {threads} -n {corpus.batch} gzip -dc > /dev/null"]
        if tool == "jq":
            return [HERE / "ask-jq.sh", directory, threads, str(corpus.batch)]
        return [self.python, HERE / "ask.py", tool, directory, threads, str(corpus.object_bytes)]

    def answer(self, name, tool, run):
        """Role, calls and largest size by tool; of packtrail from its tables."""
        if tool != "packtrail":
            return read_answer(run.output)
        asked = subprocess.run(
            [sys.executable, HERE / "ask.py", "packtrail", self.work / "out"], capture_output=True, text=True, check=True
        )
        self.calls[name] = [int(part.split()[1]) for part in asked.stderr.split(",")]
        return read_answer(asked.stdout)

    def measure(self, names):
        """Rounds over these corpora, in each every tool once on each of them."""
        tools = {name: [tool for tool in CORPORA[name].tools if tool in self.options.tools] for name in names}
        rounds = self.options.rounds or (3 if self.options.quick else CORPORA[names[0]].rounds)
        directories = {name: self.corpus(name) for name in names}
        for name in names:
            # The files come into the page cache.
            told = subprocess.run([self.binary("inflate"), directories[name]], capture_output=True, text=True, check=True).stdout
            self.sizes[name] = [int(part.split()[0]) for part in told.split(",")]
            self.runs[name] = {tool: [] for tool in tools[name]}
        for number in range(rounds):
            for name, tool in [(name, tool) for name in names for tool in tools[name]]:
                runs = self.runs[name][tool]
                if runs and (runs[-1].failure or (number >= 3 and tool in PEERS and runs[0].seconds > SLOW_SECONDS)):
                    continue
                shutil.rmtree(self.work / "out", ignore_errors=True)
                command = self.command(tool, directories[name], CORPORA[name])
                one = run(command, self.options.limit_seconds, self.options.limit_gb * 1e9)
                self.check(name, tool, one)
                runs.append(one)
                print(
                    f"{name} {number + 1}/{rounds} {tool}: {one.seconds:.2f} s, {one.cpu_seconds:.2f} s CPU, "
                    f"{one.peak_bytes / 1e6:.0f} MB{', ' + one.failure if one.failure else ''}",
                    file=sys.stderr,
                    flush=True,
                )
        for name in names:
            if name in PASSING and not self.options.keep:
                shutil.rmtree(directories[name])
                Path(f"{directories[name]}.shape").unlink()

    def check(self, name, tool, one):
        """Every answer of every run must be that of the first one, which is packtrail's where it runs."""
        if one.failure:
            if tool in OURS:
                self.problems.append(f"{name}: {tool} failed: {one.failure}")
        elif tool not in ("floor", "gzip"):
            answer = self.answer(name, tool, one)
            if not answer or answer != self.right.setdefault(name, answer):
                one.failure = "disagrees"
                self.problems.append(f"{name}: {tool} disagrees")

    def start_up(self):
        directory = self.work / "corpora/start-up"
        shutil.rmtree(directory, ignore_errors=True)
        subprocess.run([self.binary("corpus"), directory, "1", "14", "0.06", "500"], check=True)
        for number in range(21):
            shutil.rmtree(self.work / "out", ignore_errors=True)
            one = run(self.command("packtrail", directory, CORPORA["small"]), 60, 8e9)
            if one.failure:
                self.problems.append(f"start-up: {one.failure}")
                return
            if number > 0:
                self.start_up_runs.append(one)

    def conditions(self):
        info = Path("/proc/cpuinfo").read_text()
        model = next((line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")), platform.machine())
        memory = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
        lines = [
            f"Machine: {os.cpu_count()} cores, {model}, {int(memory.split()[1]) / MIB:.0f} GiB, {platform.system()} {platform.release()}; "
            f"load {self.load_before:.1f} before.",
            f"Each tool with {self.options.threads} threads. " + "; ".join(self.versions()) + ".",
        ]
        return "\n".join(lines) + "\n"

    def versions(self):
        def first_line(*command):
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]

        # By a process of its own, as is all that takes memory: a process that is started counts the peak of the one that starts it.
        digest = first_line("sha256sum", self.packtrail)[:12]
        versions = [first_line(self.packtrail, "--version") + f" (SHA-256 {digest}…)"]
        pinned = dict(line.split("==") for line in (HERE / "requirements.txt").read_text().split())
        versions += [f"{SHOWN.get(peer, peer)} {pinned[peer]}" for peer in PEERS[:3] if peer in self.options.tools]
        versions += [first_line("jq", "--version").replace("-", " ")] if "jq" in self.options.tools else []
        versions += [first_line("gzip", "--version")] if "gzip" in self.options.tools else []
        return versions

    def report(self):
        parts = [f"Load {os.getloadavg()[0]:.1f} after.", self.table(), self.memory(), self.phases()]
        if all(self.runs.get(name, {}).get("packtrail") for name in SCALE):
            parts.append(self.scale())
        if self.start_up_runs:
            seconds = [one.seconds * 1e3 for one in self.start_up_runs]
            cpu = statistics.median(one.cpu_seconds * 1e3 for one in self.start_up_runs)
            parts.append(
                f"Start-up: `analyze` of one file of 14 records takes {statistics.median(seconds):.0f} ms "
                f"({min(seconds):.0f} to {max(seconds):.0f}; {cpu:.0f} ms of processors), {len(seconds)} runs; the target is 30."
            )
        parts.append(
            "Not measured: a cold page cache, other machines and file systems, S3 (`cargo bench --bench s3`), peers by other queries than\n"
            "those in `ask.py`, or with their own file formats once converted. Peak memory is that of the largest process, for jq and gzip one\n"
            "of several; below 20 MB it may be that of the driver."
        )
        return "\n\n".join(parts)

    def table(self):
        rows = [
            "| corpus | tool | seconds: median (range) | x floor | CPU seconds | x floor | peak MB | answer | runs |",
            "|---|---|---:|---:|---:|---:|---:|---|---:|",
        ]
        for name, of_tools in self.runs.items():
            files, packed, inflated = self.sizes[name]
            first = f"{name}: {files:,} {'file' if files == 1 else 'files'}, {megabytes(packed)} of gzip, {megabytes(inflated)} inflated"
            floor = of_tools.get("floor")
            for tool, runs in of_tools.items():
                if not runs:
                    continue
                rows.append(f"| {first} | {SHOWN.get(tool, tool)} | {cells(tool, runs, floor)} | {len(runs)} |")
                first = ""
        return "\n".join(rows)

    def memory(self):
        rows = [
            "| corpus | calls kept | distinct requests | bytes of their policies | bound, MB | peak of packtrail, MB |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        for name, (calls, requests, policies) in self.calls.items():
            # Tags, ARNs and names are left out of the requests' bytes, so the bound here is lower than the one that is promised.
            bound = 256 * MIB + 200 * calls + 2 * policies
            peak = max(one.peak_bytes for one in self.runs[name]["packtrail"])
            rows.append(f"| {name} | {calls:,} | {requests:,} | {policies:,} | {bound / 1e6:.0f} | {peak / 1e6:.0f} |")
            if peak > bound:
                self.problems.append(f"{name}: {peak / 1e6:.0f} MB of memory, bound {bound / 1e6:.0f}")
        return "\n".join(rows)

    def phases(self):
        """What packtrail itself says of its time."""
        rows = [
            "| corpus | reading, seconds | all else (fit, trends, tables) | all else / reading, median (range) |",
            "|---|---:|---:|---:|",
        ]
        for name, of_tools in self.runs.items():
            said = [json.loads(one.last_line) for one in of_tools.get("packtrail", []) if not one.failure]
            if said:
                reading = [one["read_seconds"] for one in said]
                rest = [one["seconds"] - one["read_seconds"] for one in said]
                shares = [100 * after / before for before, after in zip(reading, rest)]
                share = f"{statistics.median(shares):.0f} % ({min(shares):.0f} to {max(shares):.0f})"
                rows.append(f"| {name} | {statistics.median(reading):.2f} | {statistics.median(rest):.2f} | {share} |")
        return "\n".join(rows)

    def scale(self):
        parts = []
        for tool in OURS:
            of_tool = [self.runs[name].get(tool, []) for name in SCALE]
            if not all(of_tool):
                continue
            points = [(self.sizes[name][2], one.seconds, one.cpu_seconds) for name, runs in zip(SCALE, of_tool) for one in runs]
            medians = [f"{median(runs, 'seconds'):.2f} s ({median(runs, 'cpu_seconds'):.2f} CPU)" for runs in of_tool]
            times, cpu_times = (median(of_tool[2], what) / median(of_tool[1], what) for what in ("seconds", "cpu_seconds"))
            steep, cpu_steep = (fit([math.log(point[0]) for point in points], [math.log(point[at]) for point in points])[0] for at in (1, 2))
            # Relative errors are what is alike at all sizes, so each point weighs by its inverse square.
            gigabytes, cpu = [point[0] / 1e9 for point in points], [point[2] for point in points]
            each, fixed = fit(gigabytes, cpu, [1 / seconds**2 for seconds in cpu])
            parts.append(
                f"{SHOWN.get(tool, tool)}: {', '.join(medians)} for {', '.join(megabytes(self.sizes[name][2]) for name in SCALE)} inflated. "
                f"The last step, ten times the input, costs {times:.1f} times the seconds and {cpu_times:.1f} times the CPU. Slope of log seconds on log "
                f"bytes over all: {steep:.2f}, of CPU {cpu_steep:.2f} (1 is proportional). CPU seconds: {each:.2f} a GB and {fixed * 1e3:.0f} ms beside."
            )
        return "\n\n".join(parts)


def read_answer(text):
    rows = {}
    for line in text.splitlines():
        role, calls, size = line.split("\t")
        rows[role] = (int(calls), int(float(size)))
    return rows


def cells(tool, runs, floor):
    failure = next((one.failure for one in runs if one.failure), None)
    if failure:
        return f"- | - | - | - | {max(one.peak_bytes for one in runs) / 1e6:.0f} | {failure[:80]}"
    seconds = [one.seconds for one in runs]
    clock, cpu = statistics.median(seconds), median(runs, "cpu_seconds")
    times = [f"{clock / median(floor, 'seconds'):.1f}", f"{cpu / median(floor, 'cpu_seconds'):.1f}"] if floor else ["", ""]
    peak = max(one.peak_bytes for one in runs) / 1e6
    agrees = "" if tool in ("floor", "gzip") else "agrees"
    return f"{clock:.2f} ({min(seconds):.2f} to {max(seconds):.2f}) | {times[0]} | {cpu:.2f} | {times[1]} | {peak:.0f} | {agrees}"


def median(runs, what):
    return statistics.median(getattr(one, what) for one in runs)


def megabytes(count):
    return f"{count / 1e6:,.0f} MB" if count < 10e9 else f"{count / 1e9:,.1f} GB"


def fit(xs, ys, weights=None):
    """Slope and intercept by least squares."""
    weights = weights or [1.0] * len(xs)
    total = sum(weights)
    x_mean = sum(w * x for w, x in zip(weights, xs)) / total
    y_mean = sum(w * y for w, y in zip(weights, ys)) / total
    shared = sum(w * (x - x_mean) * (y - y_mean) for w, x, y in zip(weights, xs, ys))
    slope = shared / sum(w * (x - x_mean) ** 2 for w, x in zip(weights, xs))
    return slope, y_mean - slope * x_mean


if __name__ == "__main__":
    sys.exit(main())
