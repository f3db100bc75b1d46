#!/usr/bin/env python3
"""Turns the results of `cargo bench` into tables and plots: benches/report.py [RESULTS]

Reads what criterion left in RESULTS (target/criterion if not given). Rewrites the marked part of benches/README.md,
benches/time.svg and benches/threads.svg. Needs the results of all benchmarks; python's standard library is enough.
"""

import datetime
import json
import math
import os
import pathlib
import platform
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
BEGIN = "<!-- report.py rewrites what follows -->"
END = "<!-- report.py rewrites what precedes -->"

OURS, LIBC, LOCKED, MAP = "mtsafe-env", "libc", "libc + rwlock", "RwLock<HashMap>"
C_RIVALS = [LIBC, LOCKED, MAP]

# Title, unit of the second column, groups of criterion, the contestant that others are compared with, the others.
TABLES = [
    ("`getenv`, a list that the contestant's own `setenv` built", "variables",
     ["getenv, hit", "getenv, miss", "getenv, one name", "getenv, first entry", "getenv, last entry",
      "getenv, long common beginning, hit", "getenv, long common beginning, miss"], OURS, C_RIVALS),
    ("`getenv`, a list that nobody has changed since the program was started", "variables",
     ["getenv, inherited, hit", "getenv, inherited, miss"], OURS, [LIBC, LOCKED]),
    ("`getenv` on many threads, 40 variables", "threads", ["threads, alone", "threads, beside a writer"], OURS, C_RIVALS),
    ("Changes", "variables",
     ["setenv, same value", "setenv, other value", "add and remove", "putenv", "setenv, new value", "build"], OURS, C_RIVALS),
    ("The Rust functions: changes, and all variables at once", "variables",
     ["set_var, other value", "set_var and remove_var", "snapshot (vars_os)"], "mtsafe_env", ["std::env"]),
    ("The Rust functions: reads, 40 variables", "threads", ["var_os, alone", "var_os, beside a writer"],
     "mtsafe_env::var_os", ["std::env::var_os", "Environ::var_os"]),
    ("The Rust functions: reads without a copy, 40 variables", "threads",
     ["a borrowed value, alone", "a borrowed value, beside a writer"],
     "mtsafe_env::with_var", ["std::env::var_os", "Environ::pin, get"]),
]
# A group whose iteration is many operations: how they are called.
PER = {"setenv, new value": "10,000 changes", "build": "the whole list", "add and remove": "both changes",
       "set_var and remove_var": "both changes"}


def fail(message):
    sys.exit(f"report.py: {message}")


class Results:
    """Criterion's medians, in nanoseconds for an iteration, and the figures that the benchmarks take themselves."""

    def __init__(self, folder):
        self.folder = folder
        self.cases = {}  # (group, contestant, value): (median, low, high)
        self.samples = []
        self.times = []
        for path in folder.glob("**/new/estimates.json"):
            median = json.loads(path.read_text())["median"]
            interval = median["confidence_interval"]
            about = json.loads((path.parent / "benchmark.json").read_text())
            if about["value_str"] is None:
                continue
            key = about["group_id"], about["function_id"], int(about["value_str"])
            self.cases[key] = median["point_estimate"], interval["lower_bound"], interval["upper_bound"]
            self.samples.append(len(json.loads((path.parent / "sample.json").read_text())["times"]))
            self.times.append(path.stat().st_mtime)
        self.figures = [json.loads(path.read_text()) for path in sorted(folder.glob("figures/*.json"))]
        if not self.cases:
            fail(f"no results in {folder}: run `cargo bench` first")

    def values(self, group, contestant):
        values = sorted(value for g, c, value in self.cases if (g, c) == (group, contestant))
        if not values:
            fail(f"no results of “{group}” for {contestant} in {self.folder}: run all of `cargo bench`")
        return values

    def get(self, group, contestant, value):
        return self.cases.get((group, contestant, value))

    def of(self, group, key):
        found = [figures for figures in self.figures if figures["group"] == group and key in figures]
        if not found:
            fail(f"no figures of “{group}” in {self.folder}: run all of `cargo bench`")
        return found


def power_of_ten(ns):
    return next(f"{ns // size:,} {unit}" for unit, size in (("ms", 10 ** 6), ("µs", 10 ** 3), ("ns", 1)) if ns >= size)


def ratio(number):
    return f"{number:.2f}" if number >= 0.1 else f"{number:.3f}"


def escaped(words):
    """For markdown and for SVG, where a name such as Lock<Map> would be taken for a tag."""
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def digits(number):
    """Three digits that count."""
    if number <= 0:
        return "0"
    places = max(0, 2 - math.floor(math.log10(number)))
    return f"{number:,.{places}f}"


def time(ns):
    for unit, size in ("ns", 1), ("µs", 1e3), ("ms", 1e6):
        if ns < 999.5 * size:
            return f"{digits(ns / size)} {unit}"
    return f"{digits(ns / 1e9)} s"


def table(results, unit, groups, base, rivals):
    yield f"| | {unit} | " + " | ".join(map(escaped, [base, *rivals])) + " |"
    yield "|---|--:|--:|" + "--:|" * len(rivals)
    for group in groups:
        per = f" ({PER[group]})" if group in PER else ""
        for value in results.values(group, base):
            ours, low, high = results.get(group, base, value)
            cells = [f"{group}{per}", f"{value:,}", f"{time(ours)} ({time(low)} – {time(high)})"]
            for rival in rivals:
                theirs = results.get(group, rival, value)
                cells.append("" if theirs is None else
                             f"{ratio(theirs[0] / ours)} ({ratio(theirs[1] / high)} – {ratio(theirs[2] / low)})")
            yield "| " + " | ".join(cells) + " |"


def quantiles(figures, names):
    cold = "cold" in figures[0]["group"]
    yield "| | " + ("variables | " if cold else "") + " | ".join(names) + " |"
    yield "|---|" + ("--:|" if cold else "") + "--:|" * len(names)
    for case in figures:
        cells = [escaped(case["contestant"])]
        if cold:
            what = case["group"].rsplit(", ", 1)[1]
            cells = [cells[0], ""] if case["case"] == "0" else [f"{cells[0]}, {what}", f"{int(case['case']):,}"]
        for name, key in names.items():
            cells.append(f"{case[key]:,.0f}" if key in ("calls", "writes") else time(case[key]))
        yield "| " + " | ".join(cells) + " |"


def order(figures):
    names = [OURS, LIBC, LOCKED, MAP, "the clock alone"]
    return sorted(figures, key=lambda f: (f["contestant"] == names[-1], f["group"], int(f["case"]),
                                          names.index(f["contestant"])))


def markdown(results):
    yield from about(results)
    for title, unit, groups, base, rivals in TABLES:
        yield f"### {title}\n"
        yield from table(results, unit, groups, base, rivals)
        yield ""
        if groups[0] == "threads, alone":
            yield "How many changes per second the writer made meanwhile:\n"
            writers = results.of("threads, beside a writer", "writes")
            threads = sorted({int(figures["case"]) for figures in writers})
            yield "| readers | " + " | ".join(map(escaped, (OURS, LOCKED, MAP))) + " |"
            yield "|--:|" + "--:|" * 3
            rates = {(figures["contestant"], int(figures["case"])): figures["writes"] for figures in writers}
            for n in threads:
                cells = [f"{rates[who, n]:,.0f}" if (who, n) in rates else "" for who in (OURS, LOCKED, MAP)]
                yield f"| {n} | " + " | ".join(cells) + " |"
            yield "\n![Reads per second against threads](threads.svg)\n"
        if groups[0] == "getenv, hit":
            yield "![Time of a call against the number of variables](time.svg)\n"
    yield "### `getenv` with cold caches: single calls\n"
    cold = [figures for what in ("hit", "miss") for figures in results.of(f"getenv, cold, {what}", "p50")]
    yield from quantiles(order(cold), {"calls": "calls", "median": "p50", "90 %": "p90", "99 %": "p99"})
    yield "\n### Latency of `getenv` beside a writer: single calls, 40 variables\n"
    latency = results.of("latency beside a writer", "p50")
    yield from quantiles(order(latency), {"calls": "calls", "median": "p50", "99 %": "p99", "99.9 %": "p999",
                                          "longest": "max", "changes per second": "writes"})


def about(results):
    """Which machine, when, how many samples."""
    first, last = (datetime.datetime.fromtimestamp(t, datetime.timezone.utc) for t in (min(results.times), max(results.times)))
    when = f"{first:%Y-%m-%d %H:%M} – {last:%H:%M} UTC"
    if first.date() != last.date():
        when = f"{first:%Y-%m-%d %H:%M} – {last:%Y-%m-%d %H:%M} UTC"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    libc = " ".join(platform.libc_ver()).strip()
    commit = command("git", "rev-parse", "--short", "HEAD")
    if command("git", "status", "--porcelain", "--", "../src", "../Cargo.toml", "../Cargo.lock", "*.rs"):
        commit += " and changes"
    yield (f"{when}, commit {commit}; {os.cpu_count()} cores of "
           f"{models[0] if models else platform.machine()}, Linux {platform.release()}, {libc}, {command('rustc', '--version')}.\n")
    yield "The first contestant has its time; the others have theirs divided by that: **above 1 the first one is faster**.\n"
    if min(results.samples) < 10:
        yield (f"**{'From' if max(results.samples) < 10 else 'Partly from'} a quick run** (`cargo bench -- --quick`: two samples for a figure, on a machine that others were using). "
               "It shows the order of magnitude and nothing finer.\n")
    newest = max(path.stat().st_mtime for folder in ("src", "benches") for path in (HERE.parent / folder).rglob("*.rs"))
    if newest > min(results.times):
        print("report.py: warning: some results are older than the sources", file=sys.stderr)


def command(*words):
    run = subprocess.run(words, cwd=HERE, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        fail(f"`{' '.join(words)}`: {run.stderr.strip()}")
    return run.stdout.strip()


# Colours that differ in hue and in lightness, also for those who do not see all of them; each line has its own mark.
STYLES = {OURS: ("#0072b2", "circle", 2.5), LIBC: ("#d55e00", "square", 1.6), LOCKED: ("#a0569c", "triangle", 1.6),
          MAP: ("#00805e", "diamond", 1.6)}
WIDTH, HEIGHT, LEFT, TOP, PANEL, DOWN, GAP = 860, 400, 82, 80, 340, 255, 74


def mark(kind, x, y, colour):
    if kind == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'
    shapes = {"square": ((-3.5, -3.5), (3.5, -3.5), (3.5, 3.5), (-3.5, 3.5)), "triangle": ((0, -4.5), (4.5, 3.5), (-4.5, 3.5)),
              "diamond": ((0, -5), (5, 0), (0, 5), (-5, 0))}
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in shapes[kind])
    return f'<polygon points="{points}" fill="{colour}"/>'


def text(x, y, words, anchor="middle", extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{escaped(words)}</text>'


def plot(title, panels, xs, x_title, ys, y_title, y_scale, y_name):
    """Lines with intervals. `panels`: (title, {contestant: [(x, y, low, high)]}). The x axis is logarithmic."""
    # A ground of its own: legible whatever the page's is.
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
           'font-family="sans-serif" font-size="13" fill="#222">',
           f"<title>{title}</title>",
           f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="6" fill="#fff" stroke="#999"/>',
           text(WIDTH / 2, 26, title, extra=' font-size="15" font-weight="bold"')]
    shown = [name for name in STYLES if any(name in lines for _, lines in panels)]
    for i, name in enumerate(shown):
        colour, kind, width = STYLES[name]
        x = WIDTH / 2 + (i - len(shown) / 2) * 165 + 5
        out.append(f'<path d="M{x:.1f} 46h28" stroke="{colour}" stroke-width="{width}"/>' + mark(kind, x + 14, 46, colour))
        out.append(text(x + 34, 50.5, name, "start"))
    low, high = math.log(xs[0]), math.log(xs[-1])
    for i, (caption, lines) in enumerate(panels):
        left = LEFT + i * (PANEL + GAP)

        def at_x(x, left=left):
            return left + 14 + (PANEL - 28) * (math.log(x) - low) / (high - low)

        def at_y(y):
            return TOP + DOWN * (1 - (y_scale(y) - y_scale(ys[0])) / (y_scale(ys[-1]) - y_scale(ys[0])))

        out.append(text(left + PANEL / 2, TOP - 8, caption, extra=' font-weight="bold"'))
        for y in ys:
            out.append(f'<path d="M{left} {at_y(y):.1f}h{PANEL}" stroke="#ddd"/>')
            out.append(text(left - 6, at_y(y) + 4.5, y_name(y), "end"))
        for x in xs:
            out.append(f'<path d="M{at_x(x):.1f} {TOP + DOWN}v5" stroke="#666"/>')
            out.append(text(at_x(x), TOP + DOWN + 20, f"{x:,}"))
        out.append(f'<path d="M{left} {TOP}v{DOWN}h{PANEL}" fill="none" stroke="#666"/>')
        out.append(text(left + PANEL / 2, TOP + DOWN + 42, x_title))
        for name in reversed(shown):  # ours on top
            if name not in lines:
                continue
            colour, kind, width = STYLES[name]
            points = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y, _, _ in lines[name])
            out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
            for x, y, least, most in lines[name]:
                out.append(f'<path d="M{at_x(x):.1f} {at_y(least):.1f}V{at_y(most):.1f}" stroke="{colour}"/>')
                out.append(mark(kind, at_x(x), at_y(y), colour))
    out.append(text(18, TOP + DOWN / 2, y_title, extra=f' transform="rotate(-90 18 {TOP + DOWN / 2})"'))
    out.append("</svg>\n")
    return "\n".join(out)


def lines(results, group, convert):
    found = {}
    for name in STYLES:
        values = sorted(value for g, c, value in results.cases if (g, c) == (group, name))
        if values:
            found[name] = [(value, *convert(value, *results.get(group, name, value))) for value in values]
    return found


def time_plot(results):
    panels = [(what, lines(results, f"getenv, {what}", lambda _, *times: times)) for what in ("hit", "miss")]
    times = [y for _, panel in panels for points in panel.values() for point in points for y in point[1:]]
    ys = [10 ** power for power in range(math.floor(math.log10(min(times))), math.ceil(math.log10(max(times))) + 1)]
    return plot("Time of a getenv, names in random order", panels, results.values("getenv, hit", OURS), "variables", ys,
                "time of a call", math.log, power_of_ten)


def threads_plot(results):
    def throughput(threads, median, low, high):
        return [threads * 1e3 / ns for ns in (median, high, low)]  # millions per second

    panels = [(what, lines(results, f"threads, {what}", throughput)) for what in ("alone", "beside a writer")]
    most = max(y for _, panel in panels for points in panel.values() for point in points for y in point[1:])
    step = 10 ** math.floor(math.log10(most / 2))
    step *= next(factor for factor in (1, 2, 5, 10) if most / (step * factor) <= 6)
    ys = [step * i for i in range(math.ceil(most / step) + 1)]
    return plot("getenv on many threads, 40 variables", panels, results.values("threads, alone", OURS), "reading threads", ys,
                "million reads per second", lambda y: y, lambda y: f"{y:,.0f}")


def main():
    if len(sys.argv) > 2 or sys.argv[1:2] in (["-h"], ["--help"]):
        sys.exit(__doc__.strip())
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target"))
    results = Results(pathlib.Path(sys.argv[1]) if sys.argv[1:] else target / "criterion")
    readme = HERE / "README.md"
    before, begin, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        fail(f"{readme} lacks the marks {BEGIN} and {END}")
    # All of it before the first file is written: a failure leaves everything as it was.
    files = {readme: "\n".join([before + begin, "", *markdown(results), "", end + after]),
             HERE / "time.svg": time_plot(results), HERE / "threads.svg": threads_plot(results)}
    for path, content in files.items():
        path.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
