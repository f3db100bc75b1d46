/* A signal handler that forks while its own thread is inside getenv, over the kernel's list: the child returns into the search, or
 * into the building of its hints. For ARGV[1] children. Then a string of the program's arguments, put into the environment and renamed
 * by its owner: ARGV[2], "A1=x".
 */
#include "check.h"
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

enum { VARIABLES = 600, ASKED = 12 };

static volatile sig_atomic_t in_child, forks;
static int failures;

static void arm(void) {
    static uint64_t state = 0x2545f4914f6cdd1d;
    struct itimerval once = {{0, 0}, {0, 100 + (suseconds_t)(next_random(&state) % 900)}};
    setitimer(ITIMER_REAL, &once, NULL);
}

static void handler(int signal) {
    (void)signal;
    int saved = errno;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        in_child = 1;
        alarm(10);
        errno = saved;
        return; /* into getenv */
    }
    int status;
    while (waitpid(pid, &status, 0) < 0)
        CHECK(errno == EINTR);
    failures += status != 0;
    forks++;
    errno = saved;
    arm();
}

static void look(unsigned round) {
    char name[32], value[16];
    unsigned i = round * 7 % VARIABLES;
    snprintf(name, sizeof name, "VARIABLE_%u", i);
    snprintf(value, sizeof value, "%u", i);
    CHECK(has(name, value));
    CHECK(has("VARIABLE_NONE", NULL));
}

int main(int argc, char **argv) {
    must_be_preloaded();
    CHECK(argc == 3);
    if (!getenv("VARIABLE_0")) {
        static char strings[VARIABLES][32];
        static char *list[VARIABLES + 2];
        for (int i = 0; i < VARIABLES; i++) {
            snprintf(strings[i], sizeof strings[i], "VARIABLE_%d=%d", i, i);
            list[i] = strings[i];
        }
        for (char **slot = environ; *slot; slot++)
            if (strncmp(*slot, "LD_PRELOAD=", 11) == 0)
                list[VARIABLES] = *slot;
        CHECK(list[VARIABLES]);
        execve("/proc/self/exe", argv, list);
        FAIL("execve");
    }
    /* Looks, changes nothing; from now on the kernel wipes the writers' words in a child. */
    CHECK(unsetenv("VARIABLE_NONE") == 0);
    struct sigaction action = {.sa_handler = handler};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    arm();
    for (unsigned round = 0; forks < atoi(argv[1]) || in_child; round++) {
        look(round);
        if (in_child) {
            for (unsigned more = 0; more < 20; more++)
                look(round + more);
            CHECK(setenv("CHILD", "1", 1) == 0 && has("CHILD", "1"));
            look(round);
            _exit(0);
        }
    }
    struct itimerval never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &never, NULL);
    if (failures)
        FAIL("%d of %d children failed", failures, (int)forks);

    char *string = argv[2];
    CHECK(putenv(string) == 0 && has("A1", "x"));
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(setenv("CHILD", "1", 1) == 0);
        string[0] = 'B';
        CHECK(has("B1", "x") && has("A1", NULL));
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    size_t n = 0;
    while (environ[n])
        n++;
    char **copy = calloc(n + 1, sizeof *copy);
    CHECK(copy);
    memcpy(copy, environ, n * sizeof *copy);
    environ = copy;
    CHECK(setenv("Z", "1", 1) == 0);
    string[0] = 'B';
    CHECK(has("B1", "x") && has("A1", NULL));
    puts("ok");
    return 0;
}
