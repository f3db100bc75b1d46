/* A Python extension as numerical and network libraries have them: it reads the environment on a thread of its own, without the
   interpreter's lock. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
