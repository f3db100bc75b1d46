/* A signal handler that forks, as crash handlers do, while its own thread is inside setenv; for ARGV[1] children.
 *
 * Every second child changes the environment in the handler and exits. The others change it in the handler and *return*
 * into the interrupted call, which must complete, and go on changing for a while.
 */
#include "check.h"
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

enum { NAMES = 150, VALUES = 4, BYSTANDERS = 20, SECONDS = 10, ROUNDS_IN_CHILD = 60 };

static char names[NAMES][16], values[VALUES][16], bystanders[BYSTANDERS][16];
static signed char now[NAMES]; /* the value that each should have, -1: none */
static volatile sig_atomic_t forked, in_child, rounds_left, handler_value_expected;
static uint64_t random_state = 0x9e3779b97f4a7c15;

static void arm(void) {
    static uint64_t state = 0x2545f4914f6cdd1d;
    struct itimerval once = {{0, 0}, {0, 1 + (suseconds_t)(next_random(&state) % 150)}};
    setitimer(ITIMER_REAL, &once, NULL);
}

static void bystanders_are_there(void) {
    for (int i = 0; i < BYSTANDERS; i++)
        CHECK(has(bystanders[i], "here"));
}

static void handler(int signal) {
    (void)signal;
    int saved = errno;
    bystanders_are_there();
    pid_t pid = fork();
    if (pid == 0) {
        in_child = 1;
        struct sigaction die = {.sa_handler = SIG_DFL};
        sigaction(SIGALRM, &die, NULL);
        sigset_t alarms;
        sigemptyset(&alarms);
        sigaddset(&alarms, SIGALRM);
        sigprocmask(SIG_UNBLOCK, &alarms, NULL);
        alarm(SECONDS);
        bystanders_are_there();
        switch (forked % 8) {
        default:; /* and exit */
            CHECK(setenv("HANDLER", "1", 1) == 0 && has("HANDLER", "1") && count("HANDLER=") == 1);
            char **list = environ; /* from now on the list is at rest */
            CHECK(setenv("HANDLER", "again", 1) == 0 && has("HANDLER", "again") && environ == list);
            bystanders_are_there();
            CHECK(unsetenv("HANDLER") == 0 && has("HANDLER", NULL));
            CHECK(unsetenv(bystanders[0]) == 0 && has(bystanders[0], NULL) && has(bystanders[1], "here"));
            _exit(0);
        case 1: /* and return, with one new variable, */
        case 3:
            CHECK(setenv("HANDLER", "2", 1) == 0);
            handler_value_expected = 1;
            break;
        case 5: /* with many, so that the list has to grow, */
            for (int i = 0; i < 400; i++) {
                char name[16] = {'H', (char)('0' + i / 100), (char)('0' + i / 10 % 10), (char)('0' + i % 10), 0};
                CHECK(setenv(name, "2", 1) == 0);
            }
            CHECK(setenv("HANDLER", "2", 1) == 0);
            handler_value_expected = 1;
            break;
        case 7: /* or with none. */
            break;
        }
        rounds_left = ROUNDS_IN_CHILD;
        errno = saved;
        return;
    }
    CHECK(pid > 0);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        FAIL("child %d hung", (int)forked);
    if (status)
        FAIL("child %d failed: status %#x", (int)forked, status);
    forked = forked + 1;
    errno = saved;
    arm();
}

static char *own[NAMES + BYSTANDERS + 8];

/* An array of the program's with all that is set: the next change has to adopt it. */
static void assign_own_list(void) {
    int n = 0;
    for (char **slot = environ; *slot && n < (int)(sizeof own / sizeof *own) - 1; slot++)
        if (**slot != 'H')
            own[n++] = *slot;
    own[n] = NULL;
    environ = own;
    handler_value_expected = 0; /* this list does not have it, if a handler came in between and returned in a child */
}

static void round_of_changes(void) {
    uint64_t r = next_random(&random_state) >> 16;
    int i = (int)(r % NAMES), value = (int)(r >> 20 & 3);
    switch (r >> 30 & 7) {
    case 0: case 1: case 2: case 3:
        CHECK(setenv(names[i], values[value], 1) == 0);
        CHECK(has(names[i], values[value]));
        now[i] = (signed char)value;
        break;
    case 4: case 5: case 6:
        CHECK(unsetenv(names[i]) == 0);
        CHECK(has(names[i], NULL));
        now[i] = -1;
        break;
    case 7:
        if ((r >> 40 & 15) == 0 && !in_child)
            assign_own_list();
        break;
    }
    if ((r >> 50 & 15) == 0 || in_child) {
        bystanders_are_there();
        if (handler_value_expected)
            CHECK(has("HANDLER", "2") && count("HANDLER=") == 1);
        for (int k = 0; k < NAMES; k++)
            if (k != i)
                CHECK(has(names[k], now[k] < 0 ? NULL : values[now[k]]));
    }
}

int main(int argc, char **argv) {
    must_be_preloaded();
    CHECK(argc == 2);
    int children = atoi(argv[1]);
    CHECK(clearenv() == 0);
    for (int i = 0; i < NAMES; i++) {
        snprintf(names[i], sizeof names[i], "N%d", i);
        now[i] = -1;
    }
    for (int i = 0; i < VALUES; i++)
        snprintf(values[i], sizeof values[i], "value %d", i);
    for (int i = 0; i < BYSTANDERS; i++) {
        snprintf(bystanders[i], sizeof bystanders[i], "BYSTANDER%d", i);
        CHECK(setenv(bystanders[i], "here", 1) == 0);
    }
    struct sigaction action = {.sa_handler = handler};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    arm();
    while (forked < children) {
        round_of_changes();
        if (in_child && --rounds_left <= 0)
            _exit(0);
    }
    printf("%d children\n", children);
    return 0;
}
