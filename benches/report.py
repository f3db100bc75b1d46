#!/usr/bin/env python3
"""Turns results into tables and plots: benches/report.py [lists|counts] [RESULTS]

- of `benches/compare/run times` (target/compare/times.json) and of benches/compare/instructions.txt: the part of benches/README.md
  about the lists that processes have, benches/inherited.svg, and the table of README.md;
- of `cargo bench` (RESULTS, target/criterion if not given; all of it is needed): the rest of benches/README.md, benches/time.svg and
  benches/threads.svg.

With `lists` only the first, with `counts` only that without times. benches/measure runs all that. Python's standard library is enough.
"""

import datetime
import json
import math
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
BEGIN = "<!-- report.py rewrites what follows -->"
END = "<!-- report.py rewrites what precedes -->"

LISTS_BEGIN = "<!-- report.py lists rewrites what follows -->"
LISTS_END = "<!-- report.py lists rewrites what precedes -->"
TOP_BEGIN = "<!-- benches/report.py rewrites what follows -->"
TOP_END = "<!-- benches/report.py rewrites what precedes -->"

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
            yield ""
    yield "### `getenv` with cold caches: single calls\n"
    cold = [figures for what in ("hit", "miss") for figures in results.of(f"getenv, cold, {what}", "p50")]
    yield from quantiles(order(cold), {"calls": "calls", "median": "p50", "90 %": "p90", "99 %": "p99"})
    yield "\n### Latency of `getenv` beside a writer: single calls, 40 variables\n"
    latency = results.of("latency beside a writer", "p50")
    yield from quantiles(order(latency), {"calls": "calls", "median": "p50", "99 %": "p99", "99.9 %": "p999",
                                          "longest": "max", "changes per second": "writes"})


def the_machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    libc = " ".join(platform.libc_ver()).strip()
    return (f"{os.cpu_count()} cores of {models[0] if models else platform.machine()}, Linux {platform.release()}, {libc}, "
            f"{command('rustc', '--version')}")


def the_commit():
    commit = command("git", "rev-parse", "--short", "HEAD")
    if command("git", "status", "--porcelain", "--", "../src", "../Cargo.toml", "../Cargo.lock", "*.rs"):
        commit += " and changes"
    return commit


def about(results):
    """Which machine, when, how many samples."""
    first, last = (datetime.datetime.fromtimestamp(t, datetime.timezone.utc) for t in (min(results.times), max(results.times)))
    when = f"{first:%Y-%m-%d %H:%M} – {last:%H:%M} UTC"
    if first.date() != last.date():
        when = f"{first:%Y-%m-%d %H:%M} – {last:%Y-%m-%d %H:%M} UTC"
    yield f"{when}, commit {the_commit()}; {the_machine()}.\n"
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
        fail(f"`{' '.join(map(str, words))}`: {run.stderr.strip()}")
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


# ---- the lists that processes have: compare/run's times and counts

KINDS = {
    "built": "built by `setenv`",
    "inherited": "inherited",
    "inherited, long path": "inherited, program with a long path",
    "putenv": "all by `putenv`",
    "assigned": "`environ = mine`",
    "changed": "`environ = mine`, then one `setenv`",
    "built-child": "forked child of one who built it, after its first change",
    "inherited-child": "forked child of one who inherited it, after its first change",
    "edited": "inherited, and one slot stored to by the program",
}
PLACES = ["hit", "miss", "first entry", "middle entry", "last entry"]


class Runs:
    """The rows of all runs of `compare/run times`."""

    def __init__(self, path):
        if not path.exists():
            fail(f"no {path}: run `benches/compare/run times` first")
        found = json.loads(path.read_text())
        self.about = found
        self.rows = {}  # (case, who, rival): its row of each run
        for run in found["runs"]:
            for row in run:
                self.rows.setdefault((row["case"], row["who"], row["rival"]), []).append(row)

    def of(self, case, rival="libc"):
        return self.rows.get((case, "ours", rival))


def middle(rows, key):
    return statistics.median(row[key] for row in rows)


def verdict(rows):
    """Of the median: what is required, and whether it is reached."""
    must = rows[0]["must"]
    if must is None:
        return ""
    return f"{must:g}" if middle(rows, "ratio") >= must else f"{must:g}, **below**"


def in_short(rows):
    """A ratio and its spread over all starts of all runs; bold where libc is ahead."""
    ratio_ = middle(rows, "ratio")
    shown = f"**{ratio_:.2f}**" if ratio_ < 1 else f"{ratio_:.2f}"
    must = rows[0]["must"]
    least, most = min(row["least"] for row in rows), max(row["most"] for row in rows)
    return f"{shown} ({least:.2f} – {most:.2f})" + ("" if must is None else f", must {must:g}" + ("" if ratio_ >= must else " ✗"))


def lists_markdown(runs, counts, facts):
    when = datetime.datetime.fromtimestamp(runs.about["when"], datetime.timezone.utc)
    busy = runs.about["others"]
    yield (f"{when:%Y-%m-%d %H:%M} UTC, commit {the_commit()}; {the_machine()}. {len(runs.about['runs'])} runs, {runs.about['took']:.0f} s.\n")
    if busy > 0.1:
        yield f"**Others used {busy:.1f} processors meanwhile**: the order of magnitude, and nothing finer.\n"
    yield ("libc's time divided by ours: **above 1 ours is faster**; bold where libc is ahead, ✗ where what is required is not reached. In "
           "parentheses the least and the greatest of all starts: where lists and code lie in memory is chance.\n")
    yield "### `getenv`, by how the list came about\n"
    yield "| list | variables | ours, hit / miss | " + " | ".join(PLACES) + " |"
    yield "|---|--:|--:|" + "--:|" * len(PLACES)
    for kind, name in KINDS.items():
        sizes = sorted(int(found[1]) for case, who, rival in runs.rows
                       if (found := re.fullmatch(rf"getenv {re.escape(kind)} (\d+) hit", case)) and (who, rival) == ("ours", "libc"))
        for size in sizes:
            of = [runs.of(f"getenv {kind} {size} {place}") for place in PLACES]
            yield f"| {name} | {size:,} | {time(middle(of[0], 'ours'))} / {time(middle(of[1], 'ours'))} | " + " | ".join(map(in_short, of)) + " |"
    yield ""
    yield "### Changes, cold calls, threads, the start of a program\n"
    yield "`two threads`: the other one sleeps. *Toggle*: `setenv` and `unsetenv`, of one new name or of names that were there.\n"
    yield "| case | whose | ours | the rival's ÷ ours, each run | quartiles | required |"
    yield "|---|---|--:|--:|--:|--:|"
    for (case, who, rival), rows in runs.rows.items():
        if case.startswith("getenv ") and "thread" not in case:
            continue
        low, high = middle(rows, "low"), middle(rows, "high")
        against = rival if who == "ours" else f"{rival} ÷ {who}"
        unit = f"{middle(rows, 'ours'):.0f}" if case.endswith("faults") else time(middle(rows, "ours"))
        yield (f"| {case} | {against} | {unit} | " + ", ".join(ratio(row["ratio"]) for row in rows)
               + f" | {ratio(low)} – {ratio(high)} | {verdict(rows)} |")
    yield from instructions_markdown(counts, facts)


def instructions_markdown(counts, facts):
    yield "\n### Instructions a call, ours / libc's\n"
    yield ("By callgrind, the same in each run: " + ", ".join(f"{key} {value}" for key, value in facts.items())
           + ". Bold where libc takes fewer. An inherited list has one more variable there.\n")
    reads, changes = ["hit", "miss", "first", "middle"], ["equal", "other", "pair", "newest", "old"]
    names = ["`setenv`, equal value", "other value", "`setenv` and `unsetenv`", "toggle newest", "toggle old"]
    parked = {"built-parked": "built by `setenv`; a second thread sleeps"}
    for wanted, heads, kinds in ((reads, ["hit", "miss", "first entry", "middle entry"], KINDS),
                                 (changes, names, {"built": KINDS["built"]} | parked)):
        yield "| list | variables | " + " | ".join(heads) + " |"
        yield "|---|--:|" + "--:|" * len(heads)
        for kind, name in kinds.items():
            for size in sorted({of[1] for of in counts if of[0] == kind}):
                if (kind, size, wanted[0]) in counts:
                    yield f"| {name} | {size:,} | " + " | ".join(fewer(*counts[kind, size, case]) for case in wanted) + " |"
        yield ""


def fewer(ours, libc):
    shown = f"{ours:,.0f} / {libc:,.0f}"
    return f"**{shown}**" if libc < ours else shown


MANY = 20_000


def top_table(runs, counts):
    """What README.md shows: the lists that most processes have, the changes that most of them make."""
    sizes = [10, 40, 100, 1000]

    def line(name, cases):
        cells = []
        for size in sizes:
            found = [runs.of(case.format(size)) for case in cases] if runs else []
            bold = [f"**{much:.2f}**" if much < 1 else f"{much:.2f}" for rows in found if rows for much in [middle(rows, "ratio")]]
            cells.append(" / ".join(bold))
        return f"| {name} | " + " | ".join(cells) + " |"

    if runs:
        yield "| libc's time ÷ ours (above 1 ours is faster; **bold: libc is ahead**) | " + " | ".join(f"{size:,}" for size in sizes) + " |"
        yield "|---|" + "--:|" * len(sizes)
        for kind in ("inherited", "built", "putenv", "edited"):
            yield line(f"`getenv`, {KINDS[kind]}: found / not found", [f"getenv {kind} {{}} hit", f"getenv {kind} {{}} miss"])
        for case, name in (("setenv other", "`setenv` of another value"), ("add+remove", "`setenv` of a new name and `unsetenv`")):
            yield line(f"{name}: one thread / two", [case + " {}", case + " {}, two threads"])
    else:
        yield "| instructions a call, ours / libc's (**bold: libc takes fewer**) | " + " | ".join(f"{size:,}" for size in sizes) + " |"
        yield "|---|" + "--:|" * len(sizes)
        for kind, case, name in (("inherited", "hit", "`getenv`, inherited: found"), ("inherited", "miss", "not found"),
                                 ("built", "other", "`setenv` of another value"), ("built", "pair", "`setenv` of a new name and `unsetenv`"),
                                 ("built-parked", "pair", "the same beside a second thread")):
            yield f"| {name} | " + " | ".join(fewer(*counts[kind, size, case]) if (kind, size, case) in counts else "" for size in sizes) + " |"
    yield ""
    found = re.search(r"^\| first change +\| +\d+ \| +(\d+) \| +(\d+) \|", command(HERE.parent / "tests" / "growth", str(MANY)), re.M)
    if not found:
        fail("tests/growth prints no first change")
    ours, libc = map(int, found.groups())
    yield f"The first `setenv` in a process with {MANY:,} inherited variables takes {time(ours)}, libc's {time(libc)} (`tests/growth {MANY}`)."


def inherited_plot(runs):
    panels = []
    for what in ("hit", "miss"):
        found = {OURS: [], LIBC: []}
        for size in (10, 20, 40, 60, 80, 100):
            rows = runs.of(f"getenv inherited {size} {what}")
            if rows is None:
                fail(f"no times of an inherited list of {size} variables")
            for name, key in ((OURS, "ours"), (LIBC, "its")):
                found[name].append((size, middle(rows, key), min(row[key] for row in rows), max(row[key] for row in rows)))
        panels.append((what, found))
    most = max(y for _, panel in panels for points in panel.values() for point in points for y in point[1:])
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 1000) if most / step <= 8)
    ys = [step * i for i in range(math.ceil(most / step) + 1)]
    return plot("getenv in an inherited list, names in random order", panels, [10, 20, 40, 60, 80, 100], "variables", ys, "ns of a call",
                lambda y: y, lambda y: f"{y:,}")


def recorded_counts():
    facts, counts = {}, {}
    for line in (HERE / "compare" / "instructions.txt").read_text(encoding="utf-8").splitlines():
        words = line.split()
        if words and words[0] == "case":
            counts[words[1], int(words[2]), words[3]] = float(words[4]), float(words[5])
        elif words and words[0] != "#":
            facts[words[0]] = " ".join(words[1:])
    return facts, counts


def between(path, begin, end, lines):
    """The file with these lines between its marks."""
    before, found, rest = path.read_text(encoding="utf-8").partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        fail(f"{path} lacks the marks {begin} and {end}")
    return "\n".join([before + begin, "", *lines, "", end + after])


def write_all(files):
    # All of it was made before the first file is written: a failure leaves everything as it was.
    for path, content in files.items():
        path.write_text(content, encoding="utf-8")
        print(f"report.py: {path.relative_to(HERE.parent)}")


def lists_files(target, only_counts=False):
    facts, counts = recorded_counts()
    if only_counts:
        lines = ["Not measured yet: `benches/measure`.", *instructions_markdown(counts, facts)]
        return {HERE / "README.md": between(HERE / "README.md", LISTS_BEGIN, LISTS_END, lines),
                HERE.parent / "README.md": between(HERE.parent / "README.md", TOP_BEGIN, TOP_END, top_table(None, counts))}
    runs = Runs(target / "compare" / "times.json")
    top = HERE.parent / "README.md"
    return {HERE / "README.md": between(HERE / "README.md", LISTS_BEGIN, LISTS_END, lists_markdown(runs, counts, facts)),
            top: between(top, TOP_BEGIN, TOP_END, top_table(runs, counts)),
            HERE / "inherited.svg": inherited_plot(runs)}


def main():
    arguments = sys.argv[1:]
    only_counts, only_lists = (arguments[:1] == [word] for word in ("counts", "lists"))
    only_lists |= only_counts
    if only_lists:
        arguments.pop(0)
    if len(arguments) > (0 if only_lists else 1) or arguments[:1] in (["-h"], ["--help"]):
        sys.exit(__doc__.strip())
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target"))
    if only_lists:
        write_all(lists_files(target, only_counts))
        return
    results = Results(pathlib.Path(arguments[0]) if arguments else target / "criterion")
    readme = HERE / "README.md"
    rest = {readme: between(readme, BEGIN, END, markdown(results)),
            HERE / "time.svg": time_plot(results), HERE / "threads.svg": threads_plot(results)}
    lists = lists_files(target)
    write_all(rest)
    # Both write one file: each its part of what is there then.
    lists[readme] = between(readme, LISTS_BEGIN, LISTS_END, lists_markdown(Runs(target / "compare" / "times.json"), *reversed(recorded_counts())))
    write_all(lists)


if __name__ == "__main__":
    main()
