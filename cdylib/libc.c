/* What the preload library is linked against instead of libc: the functions that it calls, under libc's name and without versions. So it
 * binds to whatever libc the process has, and asks for no version that an older one lacks; what only newer ones have stays undefined,
 * and weak. Never loaded. */
#define FUNCTION(name) void name(void) {}
FUNCTION(__errno_location)
FUNCTION(abort)
FUNCTION(bcmp)
FUNCTION(free)
FUNCTION(getauxval)
FUNCTION(madvise)
FUNCTION(malloc)
FUNCTION(memchr)
FUNCTION(memcmp)
FUNCTION(memcpy)
FUNCTION(memmove)
FUNCTION(memset)
FUNCTION(mmap)
FUNCTION(strlen)
FUNCTION(syscall)
char **__environ;
