/* A signal handler that calls getenv, ARGV[1] times at random moments, while its own thread changes the environment. */
#include "check.h"
#include <signal.h>
#include <sys/time.h>

enum { NAMES = 300, BYSTANDERS = 20 };

static char names[NAMES][16], bystanders[BYSTANDERS][16];
static const char *const values[] = {NULL, "one", "two", "three"};
/* What the variable that is being changed was and will be. */
static volatile sig_atomic_t changing = -1, was, will_be, handled;

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
    static int now[NAMES];
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
        int i = (int)(r % NAMES), value = (int)(r >> 20 & 3);
        was = now[i];
        will_be = value;
        atomic_signal_fence(memory_order_seq_cst);
        changing = i;
        if (value == 0)
            CHECK(unsetenv(names[i]) == 0);
        else
            CHECK(setenv(names[i], values[value], 1) == 0);
        changing = -1;
        now[i] = value;
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
