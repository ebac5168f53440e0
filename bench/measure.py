"""How benchmarks measure here, and what becomes of the rows: a line each, a table, a plot.

Commands are compared in alternating blocks of back-to-back runs: the kernel clears the network
namespace of one run during the next one, so pairs of single runs mislead, and pauses measure a
processor that has gone to sleep.  A row says the median of the blocks' ratios and the medians of both."""
import os
import pathlib
import statistics
import subprocess
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
BIN = pathlib.Path(os.environ.get("CASCO_BIN", TOP / "build" / "bin")).resolve()
SHARE = BIN.parent / "share"
BLOCKS, RUNS = 6, 25
QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def numbered(command, n):
    return [str(w).replace("%N", str(n)) for w in command]


def blocks(a, b, n_blocks=BLOCKS, n_runs=RUNS):
    """Ratio a/b, medians of a and b in ms, failures.  "%N" in a command is a fresh number."""
    count, failures = 0, 0

    def block(command):
        nonlocal count, failures
        times = []
        for _ in range(n_runs):
            count += 1
            words = numbered(command, count)
            start = time.perf_counter()
            r = subprocess.run(words, check=False, **QUIET)
            times.append(time.perf_counter() - start)
            failures += r.returncode != 0
        return statistics.median(times[3:])

    block(a), block(b)
    pairs = [(block(a), block(b)) for _ in range(n_blocks)]
    return (statistics.median(x / y for x, y in pairs), 1e3 * statistics.median(x for x, _ in pairs),
            1e3 * statistics.median(y for _, y in pairs), failures)


def works(name, command):
    """Whether a peer can run here at all; a row of failures would be no measurement."""
    if not os.path.exists(command[0]):
        print(f"{name} is left out: not installed", flush=True)
        return False
    r = subprocess.run(numbered(command, 0), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if r.returncode:
        print(f"{name} is left out, since it fails here: {r.stderr.strip()[:100]}", flush=True)
    return r.returncode == 0


class Report:
    """Rows of (what, ratio, ours, theirs, unit, aim); aim None where none is set."""

    def __init__(self):
        self.rows = []

    def add(self, what, ratio, ours, theirs, unit, aim=None, failures=0):
        self.rows.append((what, ratio, ours, theirs, unit, aim))
        bad = f"   {failures} RUNS FAILED" if failures else ""
        goal = f"   aim {aim:g}" if aim else ""
        print(f"{what:<62} {ratio:5.2f} x   ({ours:.4g} / {theirs:.4g} {unit}){goal}{bad}", flush=True)

    def compare(self, what, a, b, aim=None, n_blocks=BLOCKS, n_runs=RUNS):
        ratio, ours, theirs, failures = blocks(a, b, n_blocks, n_runs)
        self.add(what, ratio, ours, theirs, "ms", aim, failures)

    def table(self):
        lines = ["| what | ratio | ours | the other | aim |", "| --- | --- | --- | --- | --- |"]
        for what, ratio, ours, theirs, unit, aim in self.rows:
            lines.append(f"| {what} | {ratio:.2f} | {ours:.4g} {unit} | {theirs:.4g} {unit} | {f'{aim:g}' if aim else ''} |")
        return "\n".join(lines) + "\n"

    def plot(self):
        """Bars of the ratios, 1 being the other one; a mark where the aim is."""
        width, left, bar, scale = 980, 470, 26, 220
        out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{40 + bar * len(self.rows)}" '
               'font-family="sans-serif" font-size="13">', f'<rect width="{width}" height="100%" fill="white"/>']
        for i, (what, ratio, _, _, _, aim) in enumerate(self.rows):
            y = 10 + bar * i
            text = what.replace("&", "&amp;").replace("<", "&lt;")
            out.append(f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{text}</text>')
            good = aim is None or ratio <= aim
            length = min(ratio, 2.1) * scale
            out.append(f'<rect x="{left}" y="{y + 2}" width="{length:.0f}" height="{bar - 8}" fill="{"#3a7" if good else "#d83"}"/>')
            out.append(f'<text x="{left + length + 5:.0f}" y="{y + 15}">{ratio:.2f}</text>')
            if aim:
                x = left + aim * scale
                out.append(f'<line x1="{x:.0f}" y1="{y}" x2="{x:.0f}" y2="{y + bar - 4}" stroke="black" stroke-dasharray="3,2"/>')
        x = left + scale
        out.append(f'<line x1="{x}" y1="5" x2="{x}" y2="{12 + bar * len(self.rows)}" stroke="#888"/>')
        out.append(f'<text x="{x}" y="{28 + bar * len(self.rows)}" text-anchor="middle">1 = the other one; dashes: the aim</text></svg>')
        return "\n".join(out) + "\n"

    def write(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "table.md").write_text(self.table())
        (folder / "plot.svg").write_text(self.plot())
        print(f"written: {folder}/table.md and plot.svg", flush=True)
