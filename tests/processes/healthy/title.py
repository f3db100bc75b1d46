"""python3-setproctitle: it finds the room for a title at environ[0], the first string of the kernel's block, which must still be there.

title.py CHANGES: + adds variables before, - removes one from the middle.
"""
import os
import sys

import setproctitle

changes = sys.argv[1]
if "+" in changes:
    os.environ["NEW"] = "1"
    os.environ["TZ"] = "Asia/Tokyo"
if "-" in changes:
    del os.environ["STABLE"]
setproctitle.setproctitle(f"a title that is longer than the arguments were, after {changes}")
with open("/proc/self/cmdline", encoding="utf-8") as line:
    print(line.read().replace("\0", " ").rstrip())
print(os.popen("printenv NEW TZ STABLE").read().split())
