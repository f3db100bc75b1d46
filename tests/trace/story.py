# A service in Python whose extension reads the environment on a thread of its own, without the interpreter's lock: as libraries for
# numbers and for the network do.
import ctypes, os, sys, time

extension = ctypes.CDLL(sys.argv[1])


def configure(number):
    os.environ["WORKER_%d" % number] = "on"  # culprit


extension.start()
for number in range(200):
    configure(number)
    time.sleep(0.0002)
extension.stop()
