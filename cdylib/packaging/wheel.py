"""Makes a wheel of a packaged tree: wheel.py TREE VERSION MACHINE SECONDS FOLDER. SECONDS since 1970 is the date of all files in it."""

import base64
import hashlib
import sys
import time
import zipfile
from pathlib import Path

tree, version, machine, seconds, folder = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), Path(sys.argv[5])
# The program is static, and the library needs no symbol of glibc newer than 2.17 and none that musl has not.
tags = ["manylinux_2_17_%s" % machine, "musllinux_1_1_%s" % machine]
name = "mtsafe_env-%s" % version
# `scripts` goes to bin and `data/lib` to lib, under one prefix: where the program looks for the library.
files = {
    "%s.data/scripts/mtsafe-env" % name: tree / "bin/mtsafe-env",
    "%s.data/scripts/mtsafe-env-trace" % name: tree / "bin/mtsafe-env-trace",
    "%s.data/data/lib/libmtsafe_env_preload.so" % name: tree / "lib/libmtsafe_env_preload.so",
    "%s.data/data/lib/libmtsafe_env_trace.so" % name: tree / "lib/libmtsafe_env_trace.so",
    "%s.data/data/share/man/man1/mtsafe-env.1" % name: tree / "share/man/man1/mtsafe-env.1",
    "%s.data/data/share/man/man7/mtsafe-env.7" % name: tree / "share/man/man7/mtsafe-env.7",
    "%s.dist-info/licenses/LICENSE-MIT" % name: tree / "share/doc/mtsafe-env/LICENSE-MIT",
    "%s.dist-info/licenses/LICENSE-APACHE" % name: tree / "share/doc/mtsafe-env/LICENSE-APACHE",
}
content = {place: path.read_bytes() for place, path in files.items()}
content["%s.dist-info/METADATA" % name] = (
    "Metadata-Version: 2.1\nName: mtsafe-env\nVersion: %s\nSummary: Run programs whose environment is safe beside changes\n"
    "License: MIT OR Apache-2.0\nRequires-Python: >=3\n\nmtsafe-env python3 app.py\n" % version
).encode()
content["%s.dist-info/WHEEL" % name] = (
    "Wheel-Version: 1.0\nGenerator: mtsafe-env\nRoot-Is-Purelib: false\n" + "".join("Tag: py3-none-%s\n" % tag for tag in tags)
).encode()
record = "%s.dist-info/RECORD" % name
lines = []
for place, data in content.items():
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    lines.append("%s,sha256=%s,%d\n" % (place, digest, len(data)))
content[record] = ("".join(lines) + record + ",,\n").encode()

path = folder / ("%s-py3-none-%s.whl" % (name, ".".join(tags)))
with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
    for place, data in content.items():
        info = zipfile.ZipInfo(place, time.gmtime(seconds)[:6])
        info.external_attr = (0o100755 if "/scripts/" in place else 0o100644) << 16
        info.compress_type = zipfile.ZIP_DEFLATED
        wheel.writestr(info, data)
print(path)
