/* What the programs of this folder share: whose functions are called, realistic variables, order statistics. */
#ifndef COMMON_H
#define COMMON_H
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

#define SHARED_SOMETIMES __attribute__((unused)) /* no program uses all of this header */

/* Ends the program, and so every comparison: a figure of a function that answers wrongly means nothing. */
#define FAIL(...) \
    do { \
        fprintf(stderr, "%s:%d: ", __FILE__, __LINE__); \
        fprintf(stderr, __VA_ARGS__); \
        fputc('\n', stderr); \
        exit(1); \
    } while (0)
#define CHECK(condition) \
    do { \
        if (!(condition)) \
            FAIL("not so: %s (errno %d)", #condition, errno); \
    } while (0)

/* ---- whose functions ---- */

struct contestant {
    const char *name;
    char *(*get)(const char *);
    int (*set)(const char *, const char *, int);
    int (*unset)(const char *);
    int (*clear)(void);
    int (*put)(char *);
};

static void *function_of(void *library, const char *name, const char *path)
{
    void *function = dlsym(library, name);
    if (!function)
        FAIL("%s: %s", name, dlerror());
    Dl_info info;
    CHECK(dladdr(function, &info) != 0);
    /* One and the same function on both sides would make a fine ratio of 1. */
    if ((strstr(info.dli_fname, "mtsafe_env") != NULL) != (path != NULL))
        FAIL("%s is from %s", name, info.dli_fname);
    return function;
}

static void bind_all(struct contestant *to, void *library, const char *path)
{
    *(void **)&to->get = function_of(library, "getenv", path);
    *(void **)&to->set = function_of(library, "setenv", path);
    *(void **)&to->unset = function_of(library, "unsetenv", path);
    *(void **)&to->clear = function_of(library, "clearenv", path);
    *(void **)&to->put = function_of(library, "putenv", path);
}

/* The library by its path, opened so that nothing else is bound to it. */
SHARED_SOMETIMES static struct contestant ours_from(const char *path)
{
    struct contestant ours = {.name = "ours"};
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        FAIL("%s", dlerror());
    bind_all(&ours, library, path);
    return ours;
}

SHARED_SOMETIMES static struct contestant libc_itself(void)
{
    struct contestant libc = {.name = "libc"};
    bind_all(&libc, RTLD_DEFAULT, NULL);
    return libc;
}

/* What programs do that have no safe libc: a lock around libc's functions. The value would have to be copied before the lock is
 * given back; that is left out, in the lock's favour. Two kinds: libc's ordinary one, and one that lets writers go first, as that
 * around std::env does. (glibc's ordinary one lets readers go first, and a writer wait as long as they keep coming.) */
static struct contestant under_lock;
static pthread_rwlock_t lock;

static char *locked_get(const char *name)
{
    pthread_rwlock_rdlock(&lock);
    char *value = under_lock.get(name);
    pthread_rwlock_unlock(&lock);
    return value;
}
static int locked_set(const char *name, const char *value, int overwrite)
{
    pthread_rwlock_wrlock(&lock);
    int result = under_lock.set(name, value, overwrite);
    pthread_rwlock_unlock(&lock);
    return result;
}
static int locked_unset(const char *name)
{
    pthread_rwlock_wrlock(&lock);
    int result = under_lock.unset(name);
    pthread_rwlock_unlock(&lock);
    return result;
}
static int locked_clear(void)
{
    pthread_rwlock_wrlock(&lock);
    int result = under_lock.clear();
    pthread_rwlock_unlock(&lock);
    return result;
}

/* One kind per process: the functions have no argument to tell the locks apart. */
SHARED_SOMETIMES static struct contestant libc_locked(void)
{
    under_lock = libc_itself();
    return (struct contestant){"rwlock", locked_get, locked_set, locked_unset, locked_clear, NULL};
}

/* True if there is a lock of the kind wanted, which is from now on the one that is used. */
SHARED_SOMETIMES static int make_lock(int writers_first)
{
    pthread_rwlockattr_t kind;
    CHECK(pthread_rwlockattr_init(&kind) == 0);
#ifdef __GLIBC__
    if (writers_first)
        CHECK(pthread_rwlockattr_setkind_np(&kind, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP) == 0);
#else
    if (writers_first)
        return 0;
#endif
    CHECK(pthread_rwlock_init(&lock, &kind) == 0);
    return 1;
}

/* ---- numbers in a fixed sequence, so that each run measures the same ---- */

static uint64_t number_state = 0x9e3779b97f4a7c15;

static unsigned number_below(unsigned below)
{
    number_state = number_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((number_state >> 33) % below);
}

SHARED_SOMETIMES static void shuffle(uint16_t *order, unsigned length)
{
    for (unsigned i = length; i > 1; i--) {
        unsigned j = number_below(i);
        uint16_t other = order[j];
        order[j] = order[i - 1];
        order[i - 1] = other;
    }
}

/* ---- variables as they occur: a login's, a developer's, a container's, a cluster's ---- */

/* (Not TMPDIR: valgrind would write there.) */
static const char *const known[] = {
    "PATH", "HOME", "LANG", "USER", "SHELL", "TERM", "PWD", "LOGNAME", "HOSTNAME", "TZ", "SHLVL", "MAIL", "EDITOR", "PAGER",
    "SUDO_USER", "DISPLAY", "LC_ALL", "LC_CTYPE", "OLDPWD", "LS_COLORS", "XDG_RUNTIME_DIR", "XDG_SESSION_ID", "XDG_DATA_DIRS",
    "DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK", "SSH_CONNECTION", "JAVA_HOME", "PYTHONPATH", "NODE_ENV", "GOPATH", "CARGO_HOME",
    "VIRTUAL_ENV", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
    "DATABASE_URL", "REDIS_URL", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT",
    "KUBERNETES_PORT", "KUBERNETES_PORT_443_TCP", "KUBERNETES_PORT_443_TCP_ADDR", "KUBERNETES_PORT_443_TCP_PROTO",
};
enum { KNOWN = sizeof known / sizeof *known };

/* Asked for by libc and programs, and seldom set. */
static const char *const absent[] = {
    "LANGUAGE", "LC_MESSAGES", "TZDIR", "NO_COLOR", "COLUMNS", "POSIXLY_CORRECT", "RES_OPTIONS", "LOCALDOMAIN", "NLSPATH",
    "OUTPUT_CHARSET", "GCONV_PATH", "HOSTALIASES", "LC_TIME", "TMP", "TEMP", "CLICOLOR_FORCE", "XDG_CONFIG_HOME", "RUST_BACKTRACE",
    "PYTHONHOME", "LD_BIND_NOW", "SSL_CERT_FILE", "AWS_PROFILE",
};
enum { ABSENT = sizeof absent / sizeof *absent };
enum { NAME_ROOM = 64, VALUE_ROOM = 64, MOST = 8192 };

/* The i-th name of those that a program of this size has: the first ten are well-known, later a third, in the end hardly any. */
SHARED_SOMETIMES static void name_into(char *to, unsigned i)
{
    static const char *const services[] = {"REDIS_MASTER", "BILLING_API", "AUTH", "POSTGRES_PRIMARY", "KAFKA_BROKER", "SEARCH"};
    const char *service = services[i / 7 % (sizeof services / sizeof *services)];
    unsigned which = i < 10 ? i : 10 + (i - 10) / 3;
    if ((i < 10 || i % 3 == 1) && which < KNOWN) {
        snprintf(to, NAME_ROOM, "%s", known[which]);
        return;
    }
    switch (i % 7) {
    case 0: snprintf(to, NAME_ROOM, "KUBERNETES_SERVICE_%u_PORT", i); break;
    case 1: snprintf(to, NAME_ROOM, "%s_%u_SERVICE_HOST", service, i); break;
    case 2: snprintf(to, NAME_ROOM, "%s_%u_PORT_8080_TCP_ADDR", service, i); break;
    case 3: snprintf(to, NAME_ROOM, "AWS_LAMBDA_RUNTIME_%u", i); break;
    case 4: snprintf(to, NAME_ROOM, "npm_package_dependencies_%u", i); break;
    case 5: snprintf(to, NAME_ROOM, "APP_FEATURE_%u", i); break;
    default: snprintf(to, NAME_ROOM, "CI_JOB_%u_TOKEN", i); break;
    }
}

/* A name that none of the first MOST variables has. Besides the usual questions: neighbours, and names with one letter more. */
SHARED_SOMETIMES static void absent_name_into(char *to, unsigned i)
{
    if (i < ABSENT) {
        snprintf(to, NAME_ROOM, "%s", absent[i]);
    } else if (i % 3 == 0) {
        char name[NAME_ROOM];
        name_into(name, i);
        snprintf(to, NAME_ROOM, "%.60s_X", name);
    } else {
        name_into(to, i + 3 * MOST);
    }
}

SHARED_SOMETIMES static void value_into(char *to, unsigned i, unsigned version)
{
    switch (i % 5) {
    case 0: snprintf(to, VALUE_ROOM, "/usr/local/share/service-%u:/usr/share/service-%u", i, version); break;
    case 1: snprintf(to, VALUE_ROOM, "10.96.%u.%u", i / 256 % 256, version); break;
    case 2: snprintf(to, VALUE_ROOM, "tcp://10.96.%u.%u:8080", i % 256, version); break;
    case 3: snprintf(to, VALUE_ROOM, "%u", i + version); break;
    default: snprintf(to, VALUE_ROOM, "en_US.UTF-8@%u", version); break;
    }
}

/* Written here and not by a contestant: what the answers are checked against. */
SHARED_SOMETIMES static const char *scan(const char *name, unsigned *entries)
{
    const char *value = NULL;
    size_t length = strlen(name);
    unsigned count = 0;
    for (char **slot = environ; slot && *slot; slot++, count++)
        if (!value && strncmp(*slot, name, length) == 0 && (*slot)[length] == '=')
            value = *slot + length + 1;
    if (entries)
        *entries = count;
    return value;
}

/* ---- clocks and order statistics ---- */

SHARED_SOMETIMES static double now_ns(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The value below which `part` of them lie. Sorts. */
SHARED_SOMETIMES static double quantile(double *values, unsigned count, double part)
{
    qsort(values, count, sizeof *values, by_size);
    double at = part * (count - 1);
    unsigned low = (unsigned)at;
    double next = values[low + 1 < count ? low + 1 : low];
    return values[low] + (at - low) * (next - values[low]);
}

/* One row: the medians of both, the ratio of the medians, the quartiles of the rounds' own ratios. A ratio above 1: the first one is
 * that much faster. Sorts. */
SHARED_SOMETIMES static void row(const char *title, const char *name_a, double *a, const char *name_b, double *b, unsigned rounds)
{
    double ratios[rounds];
    for (unsigned i = 0; i < rounds; i++)
        ratios[i] = b[i] / a[i];
    double median_a = quantile(a, rounds, 0.5), median_b = quantile(b, rounds, 0.5);
    CHECK(median_a > 0 && median_b > 0);
    printf("row\t%s\t%s\t%.2f\t%s\t%.2f\t%.4f\t%.4f\t%.4f\n", title, name_a, median_a, name_b, median_b, median_b / median_a,
           quantile(ratios, rounds, 0.25), quantile(ratios, rounds, 0.75));
    fflush(stdout);
}
#endif
