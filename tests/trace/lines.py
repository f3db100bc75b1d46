"""A change beside a thread, below a function, a lambda and a generator. Also for Python 2."""
import os, sys, threading

print("%d.%d" % sys.version_info[:2])
sys.stdout.flush()
end = threading.Event()
thread = threading.Thread(target=end.wait)
thread.start()


def change():
    os.environ["CHANGED"] = "1"  # line: change


def generator():
    call = lambda: change()  # line: lambda
    yield call()  # line: generator


for _ in generator():  # line: module
    pass
end.set()
thread.join()
