"""The order of the variables that children get from python3, which changes them by setenv and unsetenv."""
import os

os.environ["D"] = "4"
del os.environ["B"]
os.environ["A"] = "one"
os.environ["B"] = "back"
os.system("tr '\\0' '\\n' </proc/$$/environ | grep -v ^LD_PRELOAD=; echo")
os.environ.pop("LD_PRELOAD", None)
del os.environ["C"]
os.execv("/usr/bin/env", ["env"])
