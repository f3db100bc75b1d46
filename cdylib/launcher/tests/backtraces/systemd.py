"""Prints the frames of a core file in the form of `coredumpctl info`: systemd.py PROGRAM CORE."""

import os
import re
import subprocess
import sys

program, core = sys.argv[1:]
text = subprocess.run(
    ["gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", "-ex", "info proc mappings", "-ex", "thread apply all bt", program, core],
    capture_output=True, text=True).stdout
maps = [(int(a, 16), int(b, 16), name) for a, b, name in re.findall(r"^\s*(0x\w+)\s+(0x\w+)\s+0x\w+\s+0x\w+.*?(/\S+)$", text, re.M)]


def place(address):
    for start, end, name in maps:
        if start <= address < end:
            first = min(s for s, _, n in maps if n == name)
            return "%s + 0x%x" % (os.path.basename(name), address - first)
    return "n/a + 0x0"


signal = re.search(r"signal (SIG(\w+))", text)
numbers = {"SEGV": 11, "ABRT": 6, "BUS": 7, "FPE": 8, "ILL": 4}
print("           PID: 4711 (%s)" % os.path.basename(program))
print("        Signal: %d (%s)" % (numbers[signal[2]], signal[2]))
print("       Message: Process 4711 (%s) of user 1000 dumped core." % os.path.basename(program))
threads = re.split(r"^Thread \d+ .*?LWP (\d+).*$", text, flags=re.M)[1:]
threads = list(zip(threads[::2], threads[1::2]))
pc = re.search(r"^#0 .*", text, re.M)
for lwp, frames in reversed(threads):
    print("                Stack trace of thread %s:" % lwp)
    for number, address, name in re.findall(r"^#(\d+)\s+(?:(0x\w+) in )?(\S+)", frames, re.M):
        at = int(address, 16) if address else 0
        where = place(at) if at else "libc.so.6 + 0x3f2a8"
        print("                #%s  0x%016x %s (%s)" % (number, at, "n/a" if name == "??" else name, where))
    print()
