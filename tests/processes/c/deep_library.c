// Opened with RTLD_DEEPBIND and linked against libc itself, this library's calls go to libc's functions, whatever is preloaded.
#include <stdlib.h>

int deep_set(const char *name, const char *value)
{
	return setenv(name, value, 1);
}

int deep_unset(const char *name)
{
	return unsetenv(name);
}

char *deep_get(const char *name)
{
	return getenv(name);
}
