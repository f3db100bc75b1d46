/* libc's functions, of which one is wrong from some call on: shows that the measuring programs see it. Compiled with WRONG_GET,
 * WRONG_SET, WRONG_UNSET or WRONG_PUT. The first calls are right, as those are that warm the caches: so it is a timed one that errs. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { RIGHT_READS = 1500, RIGHT_CHANGES = 700 };

static atomic_uint calls;

__attribute__((unused)) static int wrong_after(unsigned right)
{
    return atomic_fetch_add(&calls, 1) >= right;
}

#define NEXT(result, name, ...) \
    static result (*next)(__VA_ARGS__); \
    if (!next) \
        *(void **)&next = dlsym(RTLD_NEXT, name)

char *getenv(const char *name)
{
    NEXT(char *, "getenv", const char *);
#ifdef WRONG_GET
    static char other[] = "wrong";
    if (wrong_after(RIGHT_READS))
        return other;
#endif
    return next(name);
}

int setenv(const char *name, const char *value, int overwrite)
{
    NEXT(int, "setenv", const char *, const char *, int);
#ifdef WRONG_SET
    if (wrong_after(RIGHT_CHANGES))
        value = "wrong";
#endif
    return next(name, value, overwrite);
}

int unsetenv(const char *name)
{
    NEXT(int, "unsetenv", const char *);
#ifdef WRONG_UNSET
    if (wrong_after(RIGHT_CHANGES))
        return 0;
#endif
    return next(name);
}

int putenv(char *entry)
{
    NEXT(int, "putenv", char *);
#ifdef WRONG_PUT
    if (wrong_after(RIGHT_CHANGES))
        return 0;
#endif
    return next(entry);
}

int clearenv(void)
{
    NEXT(int, "clearenv", void);
    return next();
}
