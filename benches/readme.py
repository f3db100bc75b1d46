#!/usr/bin/env python3
"""Counts anew what the table of numbers in README.md has, and writes it there: two minutes, with valgrind.

    benches/readme.py
"""
import re, subprocess, sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SIZES = ["10", "40", "100", "1000"]
ROWS = [("`getenv`, found", "hit"), ("`getenv`, not found", "miss"), ("`setenv` of another value", "other"), ("`setenv` and `unsetenv`", "pair")]
MANY = "20000"


def output(*command):
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"readme: {' '.join(command)} failed")
    return done.stdout


def cell(ours, libc, text):
    """Bold where libc is ahead."""
    return f"**{text}**" if ours > libc else text


def main():
    if len(sys.argv) > 1:
        sys.exit(__doc__.strip())
    counts = {}
    for kind, size, ours, libc in re.findall(r"^(\S+) +(\d+) +([\d.]+) +([\d.]+) ", output("benches/compare/run", "instructions"), re.M):
        counts[kind, size] = round(float(ours)), round(float(libc))
    first = re.search(r"^\| first change +\| +\d+ \| +(\d+) \| +(\d+) \|", output("tests/growth", MANY), re.M)
    if not first or not all((kind, "40") in counts for _, kind in ROWS):
        sys.exit("readme: a figure is missing in what the commands print")
    lines = []
    for name, kind in ROWS:
        pairs = [counts.get((kind, size)) for size in SIZES]
        lines.append(" | ".join([f"| {name}", *(cell(*p, f"{p[0]:,} / {p[1]:,}") if p else "" for p in pairs)]).replace("|  |", "| |") + " |")
    ours, libc = (int(ns) / 1e6 for ns in first.groups())
    lines.append(f"| first `setenv` with 20,000 inherited variables | {cell(ours, libc, f'{ours:.2f} ms / {libc:.2f} ms')} | | | |")
    table = "\n".join(line.replace("|  |", "| |") for line in lines) + "\n"
    readme = ROOT / "README.md"
    text, found = re.subn(r"(\| \| 10 variables [^\n]*\n\|[-|]*\|\n)(?:\|[^\n]*\n)+", lambda m: m[1] + table, readme.read_text())
    if found != 1:
        sys.exit("readme: README.md has no such table")
    readme.write_text(text)
    print(table, end="")


main()
