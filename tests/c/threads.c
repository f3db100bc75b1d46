/* Readers, walkers of environ and libc's own readers beside writers.
 *
 * First a short list, writers that keep two variables at its front in motion, and readers that look for those, until ARGV[1]
 * reads have met a change of the very variable they look for, or ARGV[2] seconds are over. (Not for a fixed time: on a busy
 * machine the threads seldom run at the same moment, and then nothing would be tried.) Then the long list and everybody else
 * beside them, for ARGV[3] seconds.
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
    OTHERS_AT_FIRST = 12,
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
static atomic_int stop, everybody;
static _Atomic uint64_t reads, verified, walks, changes, meetings;

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
    uint64_t n = (uintptr_t)number;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        int i = HOT + (int)(n++ % WRITERS);
        uint64_t before = atomic_load(&states[i]);
        const char *found = NULL;
        if (n & 1) {
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
        if (atomic_load(&states[i]) != before)
            atomic_fetch_add_explicit(&meetings, 1, memory_order_relaxed);
        else if (!(before & 1))
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
        int all = atomic_load(&everybody);
        int y = (int)(r % (all ? OTHERS : OTHERS_AT_FIRST) / WRITERS * WRITERS) + me;
        if (y >= OTHERS)
            y -= WRITERS;
        int x = OTHERS + BYSTANDERS + (int)(r / OTHERS % ROLLING / WRITERS * WRITERS) + me;
        switch (all ? (int)(r >> 40 & 3) : 0) {
        case 0:
            if (!all || (r >> 42 & 1))
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

static pthread_t threads[100];
static int started;

static void start(void *(*run)(void *), int count) {
    for (int i = 0; i < count; i++)
        CHECK(pthread_create(&threads[started++], NULL, run, (void *)(uintptr_t)(i * 7919 + 1)) == 0);
}

static void rest_until(uint64_t end, uint64_t enough) {
    while (now_ns() < end && atomic_load(&meetings) < enough)
        usleep(1000);
}

int main(int argc, char **argv) {
    must_be_preloaded();
    CHECK(argc == 4);
    const uint64_t enough = strtoull(argv[1], NULL, 10), second = 1000000000, begin = now_ns();
    for (int i = 0; i < ALL; i++) {
        snprintf(names[i], sizeof names[i], "V%d", i);
        for (int v = 0; v < VALUES; v++)
            snprintf(values[i][v], sizeof values[i][v], "value %d of %d", v, i);
    }
    for (int i = OTHERS; i < OTHERS + 5; i++)
        change(i, 0);
    for (int i = 0; i < WRITERS; i++)
        CHECK(pthread_create(&threads[started++], NULL, writer, (void *)(uintptr_t)i) == 0);
    start(hot_reader, WRITERS);
    rest_until(begin + strtoull(argv[2], NULL, 10) * second, enough);
    uint64_t met = meetings, changed = now_ns();

    /* Bystanders between the others: some have to move when others go. */
    for (int i = ALL; i-- > OTHERS_AT_FIRST;)
        if (i < HOT || i >= HOT + WRITERS)
            change(i, i & 3);
    atomic_store(&everybody, 1);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    start(reader, cores < 2 ? 4 : cores > 32 ? 64 : (int)(2 * cores));
    void *(*const others[])(void *) = {walker, walker, clock_reader, locale_reader, resolver};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        start(others[i], 1);
    rest_until(changed + strtoull(argv[3], NULL, 10) * second, UINT64_MAX);

    atomic_store(&stop, 1);
    for (int i = 0; i < started; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    printf("%llu meetings in %llu ms, then %llu; %llu reads, %llu verified, %llu walks, %llu changes\n",
           (unsigned long long)met, (unsigned long long)((changed - begin) / 1000000),
           (unsigned long long)(meetings - met), (unsigned long long)reads, (unsigned long long)verified,
           (unsigned long long)walks, (unsigned long long)changes);
    CHECK(verified > 0 && walks > 0 && changes > 0 && meetings > 0);
    return 0;
}
