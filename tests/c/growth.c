/* Times of changes in a list of N variables, for `tests/growth`: ARGV[1] is N, ARGV[2] "plain" or "colliding" names. Prints a line for each
 * kind of change, its nanoseconds behind a tab: of one process; the caller takes the least of several. */
#include "check.h"
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { SOME = 20, UNSET_AT_MOST = 5000, NAME = 64 };

static int n, colliding;

/* The I-th name of all; colliding ones have one value for hashes that multiply by 33 and add a byte. */
static void nth_name(char name[NAME], int i) {
    if (!colliding) {
        snprintf(name, NAME, "MY_SERVICE_%d_PORT", i);
        return;
    }
    for (int bit = 0; bit < 17; bit++)
        memcpy(name + 2 * bit, i >> bit & 1 ? "Ez" : "FY", 2);
    name[34] = 0;
}

static char **strings(int from) {
    char **list = calloc((size_t)n + 2, sizeof *list), name[NAME];
    CHECK(list);
    for (int i = 0; i < n; i++) {
        nth_name(name, i + from);
        CHECK(asprintf(&list[i], "%s=10.0.0.1", name) > 0);
    }
    return list;
}

static void row(const char *kind, uint64_t ns) {
    printf("%s\t%llu\n", kind, (unsigned long long)ns);
    fflush(stdout);
}

static void must_end(pid_t child) {
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

static void change_in_a_child(void) {
    uint64_t *time = mmap(NULL, sizeof *time, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK((void *)time != MAP_FAILED);
    pid_t child = fork();
    if (child == 0) {
        uint64_t start = now_ns();
        CHECK(setenv("CHILD", "1", 1) == 0);
        *time = now_ns() - start;
        _exit(0);
    }
    must_end(child);
    row("change in a child", *time);
}

static uint64_t adopted(char **over, char **list) {
    environ = over;
    CHECK(setenv("REQUEST", "1", 1) == 0);
    environ = list;
    uint64_t start = now_ns();
    CHECK(setenv("OTHER", "1", 1) == 0);
    return now_ns() - start;
}

/* In a process that the kernel gave N variables. */
static void measure(void) {
    char names[SOME][NAME], old[SOME][NAME];
    for (int i = 0; i < SOME; i++) {
        snprintf(names[i], NAME, "ADDED_%d", i);
        nth_name(old[i], (int)((int64_t)i * n / SOME));
    }
    uint64_t start = now_ns();
    CHECK(setenv("REQUEST", "1", 1) == 0);
    row("first change", now_ns() - start);
    change_in_a_child();
    start = now_ns();
    for (int i = 0; i < SOME; i++)
        CHECK(setenv(names[i], "1", 1) == 0);
    row("add", (now_ns() - start) / SOME);
    start = now_ns();
    for (int i = 0; i < SOME; i++)
        CHECK(setenv(old[i], "2", 1) == 0);
    row("replace", (now_ns() - start) / SOME);
    start = now_ns();
    for (int i = SOME; i-- > 0;)
        CHECK(unsetenv(names[i]) == 0);
    row("remove the newest", (now_ns() - start) / SOME);
    int distinct = n < SOME ? n : SOME;
    start = now_ns();
    for (int i = 0; i < SOME; i++)
        CHECK(unsetenv(old[i]) == 0);
    row("remove an old one", (now_ns() - start) / (uint64_t)distinct);

    char **list = strings(0), **equal = strings(0), **different = strings(n / 2);
    row("adopt over NULL", adopted(NULL, list));
    row("adopt over an equal list", adopted(equal, list));
    row("adopt over another list", adopted(different, list));
    char name[NAME];
    int unset = n < UNSET_AT_MOST ? n : UNSET_AT_MOST;
    start = now_ns();
    for (int i = 0; i < unset; i++) {
        nth_name(name, i);
        CHECK(unsetenv(name) == 0);
    }
    row("unset all, each", (now_ns() - start) / (uint64_t)unset);
}

int main(int argc, char **argv) {
    if (argc < 3 || argc > 4)
        FAIL("usage: growth N plain|colliding");
    n = atoi(argv[1]);
    colliding = strcmp(argv[2], "colliding") == 0;
    if (n < 1 || n > 100000 || (!colliding && strcmp(argv[2], "plain") != 0))
        FAIL("usage: growth N plain|colliding, N at most 100000");
    if (argc == 4) {
        measure();
        return 0;
    }
    struct rlimit stack;
    CHECK(getrlimit(RLIMIT_STACK, &stack) == 0);
    stack.rlim_cur = 64 << 20; /* a quarter of it is for arguments and variables; 6 MiB at most */
    CHECK(setrlimit(RLIMIT_STACK, &stack) == 0);
    char **list = strings(0), *library = getenv("LD_PRELOAD");
    if (library)
        CHECK(asprintf(&list[n], "LD_PRELOAD=%s", library) > 0);
    char *command[] = {argv[0], argv[1], argv[2], "measure", NULL};
    execve(argv[0], command, list);
    FAIL("no exec: %s", strerror(errno));
}
