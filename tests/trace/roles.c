/* What the tracer is to tell apart. ARGV[1] is the case. Threads take turns by semaphores, so every run is the same. */
#include "../c/check.h"
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>

static sem_t go, done;
static void (*job)(void);

static void *worker(void *unused) {
    (void)unused;
    pthread_setname_np(pthread_self(), "worker");
    for (;;) {
        sem_wait(&go);
        if (!job)
            return NULL;
        job();
        sem_post(&done);
    }
}

static pthread_t hire(void) {
    pthread_t thread;
    sem_init(&go, 0, 0);
    sem_init(&done, 0, 0);
    CHECK(pthread_create(&thread, NULL, worker, NULL) == 0);
    return thread;
}

/* Lets the worker do this, and waits for it. */
static void other(void (*what)(void)) {
    job = what;
    sem_post(&go);
    sem_wait(&done);
}

static void dismiss(pthread_t thread) {
    job = NULL;
    sem_post(&go);
    pthread_join(thread, NULL);
}

__attribute__((noinline)) static void read_home(void) {
    CHECK(getenv("HOME")); /* line: read */
}

__attribute__((noinline)) static void read_time(void) {
    time_t now = 0;
    struct tm parts;
    localtime_r(&now, &parts); /* line: door */
}

__attribute__((noinline)) static void set_zone(void) {
    CHECK(setenv("ZONE", "secret value", 1) == 0); /* line: change */
}

static void read_elsewhere(void) {
    CHECK(getenv("HOME"));
}

static void *nothing(void *unused) {
    return unused;
}

/* Changes before there is a thread, and after each of many has been joined. */
static void alone(void) {
    CHECK(setenv("EARLY", "1", 1) == 0);
    for (int i = 0; i < 500; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, nothing, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(setenv("LATE", i % 2 ? "1" : "2", 1) == 0);
    }
}

static void beside(void) {
    alone();
    pthread_t thread = hire();
    other(read_elsewhere); /* before any change: not at risk */
    other(read_home);
    set_zone();
    other(read_home);
    other(read_time);
    set_zone();
    static char put[] = "PUT=1";
    CHECK(putenv(put) == 0);
    CHECK(unsetenv("PUT") == 0);
    CHECK(unsetenv("NO_SUCH") == 0);
    CHECK(setenv("ZONE", "other", 0) == 0);
    CHECK(setenv("ZONE", "other", 1) == 0);
    CHECK(setenv("A=B", "x", 1) == -1 && errno == EINVAL);
    other(read_time);
    CHECK(clearenv() == 0);
    dismiss(thread);
}

static void die(void) {
    raise(SIGSEGV);
}

static void crash(void) {
    hire();
    other(read_home);
    set_zone();
    other(read_home);
    other(die);
}

/* Changes that no function is called for. */
static void direct(void) {
    pthread_t thread = hire();
    set_zone();
    static char *list[] = {"HOME=/", "MINE=1", NULL};
    environ = list;
    CHECK(getenv("MINE"));
    list[1] = "MINE=2";
    CHECK(setenv("HOME", "/", 1) == 0);
    dismiss(thread);
    environ = list; /* with one thread alone: no fault */
    read_home();
}

static void children(const char *self) {
    pthread_t thread = hire();
    pid_t child = fork();
    if (child == 0) { /* one thread alone, whatever its parent has */
        CHECK(setenv("IN_CHILD", "1", 1) == 0);
        exit(0);
    }
    CHECK(waitpid(child, NULL, 0) == child);
    child = vfork();
    if (child == 0) { /* changes its parent's environment */
        setenv("IN_VFORK", "1", 1);
        execl(self, self, "leaf", (char *)NULL);
        _exit(98);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(getenv("IN_VFORK"));
    dismiss(thread);
}

static void leaf(void) {
    CHECK(getenv("IN_VFORK"));
    pthread_t thread = hire();
    set_zone();
    dismiss(thread);
}

/* More names than are recorded, from more stacks than are copied. */
__attribute__((noinline)) static int deep(int bits, int level, int i) {
    char name[32];
    if (level == 0) {
        snprintf(name, sizeof name, "N%d", i);
        return setenv(name, "1", 1);
    }
    int result = bits & 1 ? deep(bits >> 1, level - 1, i) : deep(bits >> 1, level - 1, i) + 0 * i;
    __asm__ volatile("" : "+r"(result)); /* no tail call */
    return result;
}

static void many(void) {
    pthread_t thread = hire();
    for (int i = 0; i < 6000; i++)
        CHECK(deep(i, 11, i % 100) == 0);
    dismiss(thread);
}

static void handler(int signal) {
    (void)signal;
    int before = errno;
    errno = 77;
    CHECK(getenv("HOME") && errno == 77);
    CHECK(!getenv("NO_SUCH") && errno == 77);
    errno = before;
}

/* What a program can see of itself: errno, descriptors, small stacks. */
static void untouched(void) {
    static char small[8192];
    stack_t stack = {.ss_sp = small, .ss_size = sizeof small};
    CHECK(sigaltstack(&stack, NULL) == 0);
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    CHECK(sigaction(SIGUSR2, &action, NULL) == 0);
    raise(SIGUSR2);
    pthread_t thread = hire();
    raise(SIGUSR2);
    errno = 78;
    CHECK(setenv("NEW", "1", 1) == 0 && errno == 78);
    CHECK(setenv("", "1", 1) == -1 && errno == EINVAL);
    int next = dup(0);
    CHECK(setenv("NEW", "2", 1) == 0);
    close(next);
    CHECK(dup(0) == next);
    printf("descriptor %d\n", next);
    dismiss(thread);
}

/* Says a line, then waits to be killed or told to go on. */
static volatile sig_atomic_t going = 1;

static void told(int signal) {
    (void)signal;
    going = 0;
}

static void wait_for_signal(void) {
    signal(SIGTERM, told);
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    pthread_t thread = hire();
    sigprocmask(SIG_BLOCK, &set, &old);
    set_zone();
    printf("ready\n");
    fflush(stdout);
    while (going)
        sigsuspend(&old);
    dismiss(thread);
    exit(5);
}

/* Whose function answers? */
static void protected(void) {
    char line[512];
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps))
        found |= strstr(line, "libmtsafe_env_preload") != NULL;
    set_zone();
    const char *value = getenv("ZONE");
    CHECK(setenv("ZONE", "other", 1) == 0);
    /* A string that was answered stays: the preload library's promise. */
    printf("%s %s\n", found ? "protected" : "plain", value);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    const char *role = argv[1];
    if (strcmp(role, "alone") == 0)
        alone();
    else if (strcmp(role, "beside") == 0)
        beside();
    else if (strcmp(role, "crash") == 0)
        crash();
    else if (strcmp(role, "direct") == 0)
        direct();
    else if (strcmp(role, "children") == 0)
        children(argv[0]);
    else if (strcmp(role, "leaf") == 0)
        leaf();
    else if (strcmp(role, "many") == 0)
        many();
    else if (strcmp(role, "untouched") == 0)
        untouched();
    else if (strcmp(role, "wait") == 0)
        wait_for_signal();
    else if (strcmp(role, "protected") == 0)
        protected();
    else
        return 98;
    return 0;
}
