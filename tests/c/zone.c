/* TZ is set before the threads and never changed: each tzset, inside libc, finds it, whatever else changes. In many processes, for in each
 * TZ is only once where the changes begin. After the mode: how many processes.
 *
 * And without a part for the machine's load: tzset step by step, with changes after the first of its instructions, after the second, and so
 * on to the last (x86-64 only: its trap flag). */
#include "scenes.h"
#include <sys/mman.h>
#include <sys/ucontext.h>

enum {
    DEFAULT_PROCESSES = 400,
    OTHERS = 60,
    FEW = 14, /* changes that may fall into a read: each two of them may take another array, and of those there are eight */
};

static atomic_int stop, started;
static atomic_long changes; /* begun */
static struct shared {
    atomic_long calls, wrong, late, late_wrong; /* late: more changes than a few fell into the call */
} *shared;

static void *zones(void *unused) {
    long calls = 0, wrong = 0, late = 0, late_wrong = 0;
    while (!atomic_load(&stop)) {
        long before = atomic_load(&changes);
        tzset();
        int is_late = atomic_load(&changes) - before > FEW, is_wrong = strcmp(tzname[0], "AAA") != 0;
        wrong += is_wrong && !is_late;
        late += is_late;
        late_wrong += is_wrong && is_late;
        calls++;
        atomic_store(&started, 1);
    }
    atomic_fetch_add(&shared->calls, calls);
    atomic_fetch_add(&shared->wrong, wrong);
    atomic_fetch_add(&shared->late, late);
    atomic_fetch_add(&shared->late_wrong, late_wrong);
    return unused;
}

static void numbered(char name[16], const char *prefix, int i) { snprintf(name, 16, "%s%d", prefix, i); }

/* TZ comes first, or last, or somewhere between, then goes where removals and additions bring it. */
static void in_one_process(int way) {
    char name[16];
    environ = NULL;
    for (int i = OTHERS; i-- > 0;) {
        numbered(name, "V", i);
        if (way % 3 == 1 && i == OTHERS / 2)
            CHECK(setenv("TZ", "AAA0", 1) == 0);
        CHECK(setenv(name, "1", 1) == 0);
    }
    if (way % 3 != 1)
        CHECK(setenv("TZ", "AAA0", 1) == 0);
    pthread_t thread;
    if (way % 3 == 2) {
        /* Among additions of a process that has threads. */
        have_a_second_thread();
        CHECK(unsetenv("TZ") == 0 && setenv("TZ", "AAA0", 1) == 0);
    }
    CHECK(pthread_create(&thread, NULL, zones, NULL) == 0);
    while (!atomic_load(&started))
        ;
    for (int i = 0; i < OTHERS; i++) {
        numbered(name, "V", i);
        atomic_fetch_add(&changes, 1);
        CHECK(unsetenv(name) == 0);
        for (int k = 0; k < 8; k++) {
            atomic_fetch_add(&changes, 1);
            CHECK(setenv("AB", "BBB5", 1) == 0);
            atomic_fetch_add(&changes, 1);
            CHECK(unsetenv("AB") == 0);
        }
    }
    atomic_store(&stop, 1);
    CHECK(pthread_join(thread, NULL) == 0);
}

static void a_zone_that_nobody_touches(void) {
    long processes = scene_arguments[0] ? atol(scene_arguments[0]) : DEFAULT_PROCESSES, crashed = 0;
    CHECK(processes > 0);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK((void *)shared != MAP_FAILED);
    for (int i = 0; i < processes; i++) {
        pid_t child = fork();
        if (child == 0) {
            in_one_process(i);
            _exit(0);
        }
        int status;
        CHECK(child > 0 && waitpid(child, &status, 0) == child);
        crashed += status != 0;
    }
    long wrong = atomic_load(&shared->wrong);
    printf("%ld processes, %ld crashed; %ld calls of tzset, %ld saw another zone; of %ld that met many changes %ld\n", processes, crashed, atomic_load(&shared->calls), wrong,
           atomic_load(&shared->late), atomic_load(&shared->late_wrong));
    if (crashed || wrong)
        FAIL("%ld calls saw another zone, %ld processes crashed", wrong, crashed);
}

#ifdef __x86_64__

static volatile sig_atomic_t active;
static long steps, stop_at;
static int way;

static void some_changes(void) {
    switch (way) {
    case 0: CHECK(unsetenv("V3") == 0 && setenv("AB", "BBB5", 1) == 0); break;
    case 1: CHECK(unsetenv("V0") == 0 && setenv("V0", "BBB5", 1) == 0 && unsetenv("V1") == 0 && setenv("AB", "BBB5", 1) == 0); break;
    case 2: CHECK(setenv("AB", "BBB5", 1) == 0 && unsetenv("AB") == 0 && setenv("V2", "BBB5", 1) == 0); break;
    case 3:
        for (int i = 0; i < 4; i++)
            CHECK(unsetenv("V1") == 0 && unsetenv("V4") == 0 && setenv("V4", "BBB5", 1) == 0 && setenv("V1", "BBB5", 1) == 0);
        break;
    case 4: CHECK(unsetenv("V5") == 0 && unsetenv("V0") == 0 && setenv("AB", "BBB5", 1) == 0 && setenv("AC", "BBB5", 1) == 0); break;
    }
}

static void trap(int signal, siginfo_t *info, void *context) {
    ucontext_t *c = context;
    (void)signal, (void)info;
    if (!active || ++steps == stop_at)
        c->uc_mcontext.gregs[REG_EFL] &= ~0x100;
    if (active && steps == stop_at)
        some_changes();
}

/* In one process: the changes after so many instructions; 0: never. Returns the instructions. */
static long zone_in_steps(int first, long at) {
    char name[16];
    environ = NULL;
    if (!first)
        have_a_second_thread();
    for (int i = 0; i < 6; i++) {
        numbered(name, "V", i);
        CHECK(setenv(name, "BBB5", 1) == 0);
    }
    CHECK(setenv("TZ", "AAA0", 1) == 0);
    if (first)
        have_a_second_thread();
    tzset();
    CHECK(strcmp(tzname[0], "AAA") == 0);
    stop_at = at;
    steps = 0;
    active = 1;
    __asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; orq $0x100, (%%rsp); popfq; lea 128(%%rsp), %%rsp" ::: "memory", "cc");
    tzset();
    __asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; andq $~0x100, (%%rsp); popfq; lea 128(%%rsp), %%rsp" ::: "memory", "cc");
    active = 0;
    if (strcmp(tzname[0], "AAA") != 0)
        FAIL("after changes %d at instruction %ld the zone is %s", way, at, tzname[0]);
    tzset();
    CHECK(strcmp(tzname[0], "AAA") == 0);
    return steps;
}

static void a_zone_step_by_step(void) {
    enum { MOST = 1500 };
    struct sigaction action = {.sa_sigaction = trap, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGTRAP, &action, NULL) == 0);
    long *length = mmap(NULL, sizeof *length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), failed = 0, children = 0;
    CHECK((void *)length != MAP_FAILED);
    for (int first = 0; first < 2; first++)
        for (way = 0; way < 5; way++) {
            *length = 0;
            for (long at = 0; at == 0 || at < *length; at += 1 + *length / MOST) {
                pid_t child = fork();
                CHECK(child >= 0);
                if (child == 0) {
                    long all = zone_in_steps(first, at);
                    if (at == 0)
                        *length = all;
                    _exit(0);
                }
                int status;
                CHECK(waitpid(child, &status, 0) == child);
                failed += status != 0;
                children++;
                if (failed > 5)
                    FAIL("%ld of %ld failed", failed, children);
            }
        }
    printf("tzset interrupted %ld times, after each of its instructions\n", children);
    if (failed)
        FAIL("%ld of %ld failed", failed, children);
}

#else

static void a_zone_step_by_step(void) { puts("skipped: not x86-64"); }

#endif

static const struct scene scenes[] = {
    {"a_zone_step_by_step", a_zone_step_by_step, "A=1 LD_BIND_NOW=1", LIBRARY_ONLY},
    {"a_zone_that_nobody_touches", a_zone_that_nobody_touches, "A=1", LIBRARY_ONLY},
};

int main(int argc, char **argv, char **envp) { return RUN_SCENES(scenes); }
