/* Readers, a walker of environ and libc's own readers beside writers, for ARGV[1] milliseconds.
 *
 * Each variable has one owner, a writer, and a state word: odd while the owner changes it, else a count of its changes
 * with its present value. A reader whose two looks at the state agree has read beside no change of *that* variable, so it
 * must have found exactly that: the value last set, or nothing if it was removed. Changes to all others go on meanwhile.
 */
#include "check.h"
#include <locale.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

enum {
    WRITERS = 3,
    OTHERS = 500,   /* added, removed, replaced */
    BYSTANDERS = 60, /* never removed, never replaced */
    ROLLING = 30,   /* removed and added again at once, so that they are first in the list */
    ALL = OTHERS + BYSTANDERS + ROLLING,
    HOT = OTHERS + BYSTANDERS, /* those of the rolling ones that hot readers look for, one of each writer */
    VALUES = 4, /* different values of each: the memory is bounded */
};

static char names[ALL][24];
static char values[ALL][VALUES][40];
static _Atomic uint64_t states[ALL]; /* changes << 4 | present << 3 | value << 1 | busy */
static atomic_int stop;
static _Atomic uint64_t reads, verified, walks, changes;

static uint64_t state_of(uint64_t before, int value) {
    uint64_t number = (before >> 4) + 1;
    return number << 4 | (value >= 0 ? 8u | (unsigned)value << 1 : 0);
}

/* Sets variable I to its value number VALUE, or removes it (-1). Only by its owner. */
static void change(int i, int value) {
    uint64_t before = atomic_load_explicit(&states[i], memory_order_relaxed);
    atomic_store(&states[i], before | 1);
    if (value < 0)
        CHECK(unsetenv(names[i]) == 0);
    else
        CHECK(setenv(names[i], values[i][value], 1) == 0);
    atomic_store(&states[i], state_of(before, value));
}

/* What a reader found for variable I is what state S says. */
static void verify(int i, uint64_t s, const char *found, const char *who) {
    if (s & 8) {
        if (!found)
            FAIL("%s lost %s", who, names[i]);
        if (strcmp(found, values[i][s >> 1 & 3]) != 0)
            FAIL("%s found %s=%s, but it is %s", who, names[i], found, values[i][s >> 1 & 3]);
    } else if (found) {
        FAIL("%s found %s=%s, which was removed", who, names[i], found);
    }
}

static void *reader(void *seed) {
    uint64_t random = (uintptr_t)seed, n = 0, good = 0;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        uint64_t r = next_random(&random) >> 20;
        /* Half of the looks at the rolling ones, which the writers move about most. */
        int i = (int)(r & 1 ? OTHERS + BYSTANDERS + (r >> 1) % ROLLING : (r >> 1) % ALL);
        uint64_t before = atomic_load(&states[i]);
        const char *found = getenv(names[i]);
        n++;
        if (!(before & 1) && atomic_load(&states[i]) == before) {
            verify(i, before, found, "a reader");
            good++;
        }
    }
    atomic_fetch_add(&reads, n);
    atomic_fetch_add(&verified, good);
    return NULL;
}

/* Looks for one variable all the time. It is near the front, so this is fast enough to fall between two stores of a writer. */
static void *hot_reader(void *number) {
    int i = HOT + (int)(uintptr_t)number % WRITERS;
    uint64_t n = 0;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        uint64_t before = atomic_load(&states[i]);
        const char *found = NULL;
        if (n++ & 1) {
            found = getenv(names[i]);
        } else {
            char *first = __atomic_load_n(__atomic_load_n(&environ, __ATOMIC_ACQUIRE), __ATOMIC_ACQUIRE);
            size_t length = strlen(names[i]);
            if (!first)
                FAIL("a hot reader found an empty list");
            if (strncmp(first, names[i], length) == 0 && first[length] == '=')
                found = first + length + 1;
            else if (before & 8)
                continue; /* it need not be the first */
        }
        if (!(before & 1) && atomic_load(&states[i]) == before)
            verify(i, before, found, "a hot reader");
    }
    atomic_fetch_add(&reads, n);
    return NULL;
}

/* As a program does that was never told about getenv. */
static void *walker(void *unused) {
    (void)unused;
    uint64_t n = 0;
    static _Thread_local uint64_t before[ALL];
    static _Thread_local const char *found[ALL];
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        for (int i = 0; i < ALL; i++)
            before[i] = atomic_load(&states[i]);
        memset(found, 0, sizeof found);
        char **slot = __atomic_load_n(&environ, __ATOMIC_ACQUIRE);
        for (char *entry; (entry = __atomic_load_n(slot, __ATOMIC_ACQUIRE)); slot++) {
            char *end = strchr(entry, '=');
            if (!end)
                FAIL("the walker found %s", entry);
            /* Names end in their number: "V123". */
            if (entry[0] != 'V')
                continue;
            int i = atoi(entry + 1);
            if (i < 0 || i >= ALL || strncmp(entry, names[i], (size_t)(end - entry)) != 0)
                FAIL("the walker found %s", entry);
            found[i] = end + 1;
        }
        for (int i = 0; i < ALL; i++)
            if (!(before[i] & 1) && atomic_load(&states[i]) == before[i])
                verify(i, before[i], found[i], "the walker");
        n++;
    }
    atomic_fetch_add(&walks, n);
    return NULL;
}

static void *writer(void *number) {
    int me = (int)(uintptr_t)number;
    uint64_t random = 88172645463325252u + (uint64_t)me, n = 0;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        uint64_t r = next_random(&random) >> 20;
        int value = (int)(r & 3);
        r >>= 2;
        int y = (int)(r % OTHERS / WRITERS * WRITERS) + me;
        if (y >= OTHERS)
            y -= WRITERS;
        int x = OTHERS + BYSTANDERS + (int)(r / OTHERS % ROLLING / WRITERS * WRITERS) + me;
        switch (r >> 40 & 3) {
        case 0:
            if (!(states[x] & 8))
                FAIL("the writer's %s is gone", names[x]);
            if (!(r >> 42 & 3))
                x = HOT + me;
            for (int round = 0; round < 8; round++, n += 4) {
                change(x, -1);    /* first, from the second round on: its slot becomes free */
                change(y, value); /* uses that slot */
                change(x, value); /* first again, with Y behind it */
                change(y, -1);    /* X has to move into Y's slot */
            }
            break;
        case 1:
            change(y, -1);
            n++;
            break;
        default:
            change(y, value);
            n++;
        }
        if (me == 0 && (n & 63) == 0) {
            CHECK(setenv("TZ", n & 64 ? "UTC0" : "FAR-5", 1) == 0);
            CHECK(setenv("LC_ALL", n & 128 ? "C" : "POSIX", 1) == 0);
            if (n & 256)
                CHECK(setenv("RES_OPTIONS", "attempts:1", 1) == 0);
            else
                CHECK(unsetenv("RES_OPTIONS") == 0);
        }
    }
    atomic_fetch_add(&changes, n);
    return NULL;
}

/* libc looks at the environment by itself here: no interposed getenv is called. */
static void *clock_reader(void *unused) {
    (void)unused;
    const time_t noon = 12 * 3600;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        struct tm tm;
        tzset();
        CHECK(localtime_r(&noon, &tm));
        if (tm.tm_hour != 12 && tm.tm_hour != 17)
            FAIL("it is %d o'clock", tm.tm_hour);
    }
    return NULL;
}

static void *locale_reader(void *unused) {
    (void)unused;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        CHECK(setlocale(LC_MESSAGES, ""));
        locale_t locale = newlocale(LC_ALL_MASK, "", (locale_t)0);
        CHECK(locale);
        freelocale(locale);
    }
    return NULL;
}

static void *resolver(void *unused) {
    (void)unused;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
        struct addrinfo *found = NULL;
        CHECK(getaddrinfo("127.0.0.1", "80", &hints, &found) == 0);
        freeaddrinfo(found);
        hints.ai_flags = 0;
        /* Whether this machine knows the name is not the point. */
        if (getaddrinfo("localhost", NULL, &hints, &found) == 0)
            freeaddrinfo(found);
    }
    return NULL;
}

int main(int argc, char **argv) {
    must_be_preloaded();
    CHECK(argc == 2);
    long milliseconds = atol(argv[1]);
    for (int i = 0; i < ALL; i++) {
        snprintf(names[i], sizeof names[i], "V%d", i);
        for (int v = 0; v < VALUES; v++)
            snprintf(values[i][v], sizeof values[i][v], "value %d of %d", v, i);
    }
    /* Bystanders between the others: some have to move when others go. */
    for (int i = ALL; i-- > 0;)
        change(i, i & 3);

    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int readers = cores < 2 ? 4 : cores > 32 ? 64 : (int)(2 * cores);
    pthread_t threads[80];
    int n = 0;
    for (int i = 0; i < readers; i++)
        CHECK(pthread_create(&threads[n++], NULL, reader, (void *)(uintptr_t)(i * 7919 + 1)) == 0);
    for (int i = 0; i < WRITERS; i++)
        CHECK(pthread_create(&threads[n++], NULL, writer, (void *)(uintptr_t)i) == 0);
    for (int i = 0; i < WRITERS; i++)
        CHECK(pthread_create(&threads[n++], NULL, hot_reader, (void *)(uintptr_t)i) == 0);
    void *(*const others[])(void *) = {walker, walker, clock_reader, locale_reader, resolver};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        CHECK(pthread_create(&threads[n++], NULL, others[i], NULL) == 0);
    for (uint64_t end = now_ns() + (uint64_t)milliseconds * 1000000; now_ns() < end;)
        usleep(10000);
    atomic_store(&stop, 1);
    for (int i = 0; i < n; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    printf("%llu reads, %llu verified, %llu walks, %llu changes\n", (unsigned long long)reads,
           (unsigned long long)verified, (unsigned long long)walks, (unsigned long long)changes);
    CHECK(verified > 0 && walks > 0 && changes > 0);
    return 0;
}
