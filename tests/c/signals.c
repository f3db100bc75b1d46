/* A signal handler that calls getenv, ARGV[1] times at random moments, while its own thread changes the environment. */
#include "check.h"
#include <signal.h>
#include <sys/time.h>

enum { NAMES = 200, NAMES_AT_FIRST = 4, BYSTANDERS = 20 };

static char names[NAMES][16], bystanders[BYSTANDERS][16];
static const char *const values[] = {NULL, "one", "two", "three"};
static volatile signed char now[NAMES];
/* What the variable that is being changed was and will be. */
static volatile sig_atomic_t changing = -1, was, will_be, handled, names_in_use = NAMES_AT_FIRST;

static void arm(void) {
    static uint64_t state = 0x2545f4914f6cdd1d;
    struct itimerval once = {{0, 0}, {0, 1 + (suseconds_t)(next_random(&state) % 60)}};
    setitimer(ITIMER_REAL, &once, NULL);
}

static void handler(int signal) {
    (void)signal;
    int saved = errno;
    errno = 4711;
    for (int i = 0; i < BYSTANDERS; i++)
        if (!has(bystanders[i], "here"))
            FAIL("the handler lost %s", bystanders[i]);
    for (int i = 0; i < names_in_use; i++)
        if (i != changing && !has(names[i], values[now[i]]))
            FAIL("the handler found %s wrong beside a change of %s", names[i], changing < 0 ? "none" : names[changing]);
    if (changing >= 0) {
        const char *found = getenv(names[changing]);
        int old = found ? values[was] && !strcmp(found, values[was]) : !values[was];
        int new = found ? values[will_be] && !strcmp(found, values[will_be]) : !values[will_be];
        if (!old && !new)
            FAIL("the handler found %s=%s", names[changing], found ? found : "(nothing)");
    }
    CHECK(errno == 4711);
    handled = handled + 1;
    errno = saved;
    arm();
}

int main(int argc, char **argv) {
    must_be_preloaded();
    CHECK(argc == 2);
    int wanted = atoi(argv[1]);
    CHECK(clearenv() == 0);
    for (int i = 0; i < BYSTANDERS; i++) {
        snprintf(bystanders[i], sizeof bystanders[i], "BYSTANDER%d", i);
        CHECK(setenv(bystanders[i], "here", 1) == 0);
    }
    for (int i = 0; i < NAMES; i++)
        snprintf(names[i], sizeof names[i], "N%d", i);
    struct sigaction action = {.sa_handler = handler};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    arm();
    uint64_t random = 88172645463325252, changes = 0;
    while (handled < wanted) {
        uint64_t r = next_random(&random) >> 20;
        /* A short list first: then the few instructions that matter are a large part of all. */
        if (handled > wanted / 2)
            names_in_use = NAMES;
        int i = (int)(r % (uint64_t)names_in_use), value = (int)(r >> 20 & 3);
        was = now[i];
        will_be = value;
        atomic_signal_fence(memory_order_seq_cst);
        changing = i;
        if (value == 0)
            CHECK(unsetenv(names[i]) == 0);
        else
            CHECK(setenv(names[i], values[value], 1) == 0);
        now[i] = (signed char)value;
        atomic_signal_fence(memory_order_seq_cst);
        changing = -1;
        CHECK(has(names[i], values[value]));
        changes++;
        /* A fresh list now and then, to be adopted. */
        if ((r >> 30 & 4095) == 0) {
            static char *own[NAMES + BYSTANDERS + 64];
            int n = 0;
            for (char **slot = environ; *slot; slot++)
                own[n++] = *slot;
            own[n] = NULL;
            environ = own;
        }
    }
    printf("%d signals, %llu changes\n", (int)handled, (unsigned long long)changes);
    return 0;
}
