/* TZ is set before the threads and never changed: each tzset, inside libc, finds it, whatever else changes. In many processes, for in each
 * TZ is only once where the changes begin. After the mode: how many processes. */
#include "scenes.h"
#include <sys/mman.h>

enum { DEFAULT_PROCESSES = 400, OTHERS = 60 };

static atomic_int stop, started;
static struct shared {
    atomic_long calls, wrong;
} *shared;

static void *zones(void *unused) {
    long calls = 0, wrong = 0;
    while (!atomic_load(&stop)) {
        tzset();
        wrong += strcmp(tzname[0], "AAA") != 0;
        calls++;
        atomic_store(&started, 1);
    }
    atomic_fetch_add(&shared->calls, calls);
    atomic_fetch_add(&shared->wrong, wrong);
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
        CHECK(unsetenv(name) == 0);
        for (int k = 0; k < 8; k++)
            CHECK(setenv("AB", "BBB5", 1) == 0 && unsetenv("AB") == 0);
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
    printf("%ld processes, %ld crashed; %ld calls of tzset, %ld saw another zone\n", processes, crashed, atomic_load(&shared->calls), wrong);
    if (crashed || wrong)
        FAIL("%ld calls saw another zone, %ld processes crashed", wrong, crashed);
}

static const struct scene scenes[] = {
    {"a_zone_that_nobody_touches", a_zone_that_nobody_touches, "A=1", LIBRARY_ONLY},
};

int main(int argc, char **argv, char **envp) { return RUN_SCENES(scenes); }
