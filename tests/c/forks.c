/* ARGV[1] children, by fork and by vfork, while three threads set variables. Each child has ten seconds. */
#include "check.h"
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

enum { WRITERS = 3, AT_ONCE = 8, SECONDS = 10 };

static atomic_int stop, remove_too = 1, no_longer_removing;
static char *self;

static void *writer(void *number) {
    char name[32], value[32];
    int removing = 1;
    for (unsigned i = 0; !atomic_load(&stop); i++) {
        if (removing && !atomic_load(&remove_too)) {
            removing = 0;
            atomic_fetch_add(&no_longer_removing, 1);
        }
        snprintf(name, sizeof name, "W%d_%u", (int)(uintptr_t)number, i % 200);
        snprintf(value, sizeof value, "%u", i / 200 % 8);
        if (i % 3 == 0 && removing)
            CHECK(unsetenv(name) == 0);
        else
            CHECK(setenv(name, value, 1) == 0 && has(name, value));
    }
    return NULL;
}

/* In the child: its own copy of the environment, whatever the other threads of its parent were doing. */
static void child(int i) {
    alarm(SECONDS);
    char value[16];
    snprintf(value, sizeof value, "%d", i);
    CHECK(has("BYSTANDER", "here"));
    switch (i % 6) {
    case 0: break;
    case 1: CHECK(setenv("CHILD", value, 1) == 0 && has("CHILD", value)); break;
    case 2: CHECK(unsetenv("BYSTANDER") == 0 && has("BYSTANDER", NULL) && count("BYSTANDER=") == 0); break;
    case 3:
        CHECK(setenv("CHILD", value, 1) == 0);
        execl(self, self, "CHILD", value, NULL);
        FAIL("no exec");
    case 4:
        for (int n = 0; n < 300; n++) {
            char name[16];
            snprintf(name, sizeof name, "N%d", n);
            CHECK(setenv(name, value, 1) == 0 && has(name, value));
        }
        CHECK(count("N") == 300);
        break;
    case 5: CHECK(clearenv() == 0 && setenv("CHILD", value, 1) == 0 && count("") == 1); break;
    }
    if (i % 6 != 2 && i % 6 != 5)
        CHECK(has("BYSTANDER", "here") && count("BYSTANDER=") == 1);
    /* And the children of children. */
    if (i % 6 == 1) {
        int status;
        pid_t grandchild = fork();
        if (grandchild == 0) {
            alarm(SECONDS);
            CHECK(has("CHILD", value) && setenv("CHILD", "x", 1) == 0 && has("CHILD", "x"));
            _exit(0);
        }
        CHECK(waitpid(grandchild, &status, 0) == grandchild && status == 0 && has("CHILD", value));
    }
    _exit(0);
}

static void reap(void) {
    int status;
    CHECK(wait(&status) > 0);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        FAIL("a child hung");
    if (status)
        FAIL("a child failed: status %#x", status);
}

/* A vfork child borrows its parent's memory, lock included, until it execs. */
static pid_t vfork_and_exec(int i, const char *value) {
    pid_t pid = vfork();
    if (pid == 0) {
        alarm(SECONDS);
        if (setenv("VFORKED", value, 1) != 0)
            _exit(3);
        if (i & 1)
            execl(self, self, "VFORKED", value, NULL);
        else
            execle(self, self, "ABSENT", (char *)NULL, environ);
        _exit(4);
    }
    return pid;
}

int main(int argc, char **argv) {
    self = argv[0];
    if (argc == 3 && argv[1][0] != '-')
        return !(has(argv[1], argv[2]) && has("BYSTANDER", "here"));
    if (argc == 2 && strcmp(argv[1], "ABSENT") == 0)
        return !(has("ABSENT", NULL) && has("BYSTANDER", "here"));
    must_be_preloaded();
    CHECK(argc == 2 && setenv("BYSTANDER", "here", 1) == 0);
    int children = atoi(argv[1]);
    pthread_t threads[WRITERS];
    for (int i = 0; i < WRITERS; i++)
        CHECK(pthread_create(&threads[i], NULL, writer, (void *)(uintptr_t)i) == 0);

    for (int i = 0; i < children; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0)
            child(i);
        if (i >= AT_ONCE)
            reap();
    }
    for (int i = 0; i < AT_ONCE && i < children; i++)
        reap();

    /* The kernel copies the list from its end while others change it: only adding and replacing is safe beside that. */
    atomic_store(&remove_too, 0);
    while (atomic_load(&no_longer_removing) < WRITERS)
        usleep(100);
    for (int i = 0; i < children / 5; i++) {
        char value[16];
        snprintf(value, sizeof value, "%d", i);
        pid_t pid = vfork_and_exec(i, value);
        CHECK(pid > 0 && has("VFORKED", value));
        reap();
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < WRITERS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    printf("%d children\n", children);
    return 0;
}
