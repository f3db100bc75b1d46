# Python threads: names are resolved (getaddrinfo reads HOSTALIASES inside libc) while a C extension, here
# ctypes, which runs without the interpreter lock, sets variables.
import ctypes, os, socket, sys, threading, time

seconds = float(sys.argv[1])
libc = ctypes.CDLL(None)
libc.setenv.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int]
libc.unsetenv.argtypes = [ctypes.c_char_p]
libc.getenv.argtypes = [ctypes.c_char_p]
libc.getenv.restype = ctypes.c_char_p
os.environ["STABLE"] = "stable"
end = time.monotonic() + seconds
lost = 0


def write(number):
    i = 0
    while time.monotonic() < end:
        for i in range(200):
            libc.setenv(b"V%d_%d" % (number, i), b"x" * (i % 40), 1)
        for i in range(200):
            libc.unsetenv(b"V%d_%d" % (number, i))


def resolve():
    while time.monotonic() < end:
        try:
            # A name without dots: libc looks for HOSTALIASES before it asks the name server (which is out of reach).
            socket.getaddrinfo("nosuchhost", 80)
        except OSError:
            pass


def read():
    global lost
    while time.monotonic() < end:
        if libc.getenv(b"STABLE") != b"stable":
            lost += 1
        time.strftime("%Z", time.localtime())
        time.tzset()


threads = [threading.Thread(target=write, args=(n,)) for n in range(3)]
threads += [threading.Thread(target=what) for what in (resolve, resolve, resolve, read)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("lost", lost)
sys.exit(lost != 0)
