/* What the C programs share: a check that names its line, and the certainty that the library is there. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* NULL that no compiler knows about: the headers declare arguments nonnull. */
static char *volatile null_string;

#define FAIL(...) \
    do { \
        fprintf(stderr, "%s:%d: ", __FILE__, __LINE__); \
        fprintf(stderr, __VA_ARGS__); \
        fputc('\n', stderr); \
        fflush(stderr); \
        _exit(1); \
    } while (0)

#define CHECK(condition) \
    do { \
        if (!(condition)) \
            FAIL("not so: %s (errno %d)", #condition, errno); \
    } while (0)

/* Without this a library that cannot be loaded would pass every test that libc passes. */
static inline void must_be_preloaded(void) {
    Dl_info info;
    void *const functions[] = {(void *)getenv, (void *)secure_getenv, (void *)setenv,
                               (void *)putenv, (void *)unsetenv,      (void *)clearenv};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (!dladdr(functions[i], &info) || !strstr(info.dli_fname, "mtsafe_env_"))
            FAIL("function %zu is not the library's", i);
    }
}

/* True if NAME has the value VALUE, or, if that is NULL, none. */
static inline int has(const char *name, const char *value) {
    const char *found = getenv(name);
    return value ? found && strcmp(found, value) == 0 : !found;
}

/* How many entries of environ start with PREFIX. */
static inline size_t count(const char *prefix) {
    size_t n = 0;
    for (char **slot = environ; slot && *slot; slot++)
        n += strncmp(*slot, prefix, strlen(prefix)) == 0;
    return n;
}

/* A field of /proc/self/status in KiB, such as "VmSize:". */
static inline long status_kib(const char *field) {
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    long value = -1;
    CHECK(file);
    while (fgets(line, sizeof line, file))
        if (strncmp(line, field, strlen(field)) == 0)
            value = strtol(line + strlen(field), NULL, 10);
    fclose(file);
    CHECK(value >= 0);
    return value;
}

static inline uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* xorshift64: numbers that a printed seed repeats. */
static inline uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}
