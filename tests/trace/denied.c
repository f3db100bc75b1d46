/* Programs that give up rights, or run out of something. ARGV[1] is the case; what is printed is the same with and without a tracer. */
#include "../c/check.h"
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ANSWER(what) BPF_STMT(BPF_RET | BPF_K, what)

/* A filter: the calls of the list get one answer, all others the other. By prctl, or by its own system call. */
static void filter(const int *calls, int count, unsigned listed, unsigned others, int by_prctl) {
    static struct sock_filter steps[128];
    int n = 0;
    steps[n++] = (struct sock_filter)LOAD(nr);
    for (int i = 0; i < count; i++) {
        steps[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i], 0, 1);
        steps[n++] = (struct sock_filter)ANSWER(listed);
    }
    steps[n++] = (struct sock_filter)ANSWER(others);
    struct sock_fprog program = {.len = n, .filter = steps};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    if (by_prctl)
        CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
    else
        CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0);
}

/* Anything that is not of these kills. */
static void sandbox(int by_prctl) {
    static const int allowed[] = {SYS_read, SYS_write, SYS_exit, SYS_exit_group, SYS_futex, SYS_rt_sigreturn,
        SYS_rt_sigprocmask, SYS_brk, SYS_mmap, SYS_munmap, SYS_madvise, SYS_mprotect, SYS_fstat, SYS_newfstatat};
    filter(allowed, COUNT(allowed), SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS, by_prctl);
}

/* Lets a program start, and kills it for what no program does to start. */
static void sandbox_for_start(void) {
    static const int killed[] = {SYS_process_vm_readv, SYS_memfd_create, SYS_getdents64, SYS_fallocate, SYS_ftruncate,
        SYS_mkdirat, SYS_unlinkat, SYS_gettid};
    filter(killed, COUNT(killed), SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_ALLOW, 1);
}

static pthread_barrier_t together;

static void *wait_for_end(void *unused) {
    pthread_barrier_wait(&together);
    pthread_barrier_wait(&together);
    return unused;
}

static pthread_t hire(void) {
    pthread_t thread;
    pthread_barrier_init(&together, NULL, 2);
    CHECK(pthread_create(&thread, NULL, wait_for_end, NULL) == 0);
    pthread_barrier_wait(&together);
    return thread;
}

/* More than a recording has room for at first, from several places. */
static void work(void) {
    char name[32], value[32];
    for (int i = 0; i < 600; i++) {
        snprintf(name, sizeof name, "N%d", i % 10);
        snprintf(value, sizeof value, "%d", i);
        CHECK((i % 2 ? setenv(name, value, 1) : setenv(name, "even", 1)) == 0);
        CHECK(strcmp(getenv(name), i % 2 ? value : "even") == 0);
    }
    CHECK(unsetenv("N9") == 0 && !getenv("N9"));
    printf("%s %s\n", getenv("N1"), getenv("N8"));
    fflush(stdout);
}

static void limit(int what, rlim_t most) {
    struct rlimit limits = {most, most};
    CHECK(setrlimit(what, &limits) == 0);
}

int main(int argc, char **argv) {
    CHECK(argc >= 2);
    const char *role = argv[1];
    char *again[] = {argv[0], "work", NULL};
    if (strcmp(role, "work") == 0) {
        pthread_t thread = hire();
        work();
        pthread_barrier_wait(&together);
        pthread_join(thread, NULL);
    } else if (strcmp(role, "prctl") == 0 || strcmp(role, "seccomp") == 0) {
        hire();
        work();
        sandbox(role[0] == 'p');
        work();
        _exit(7);
    } else if (strcmp(role, "unused") == 0) { /* no call before the filter */
        hire();
        sandbox(1);
        work();
        _exit(7);
    } else if (strcmp(role, "asks") == 0) { /* is there such a thing as a filter? */
        CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL) == -1 && errno == EFAULT);
        CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL) == -1 && errno == EFAULT);
        CHECK(syscall(SYS_getpid) == getpid() && syscall(-1) == -1 && errno == ENOSYS);
        CHECK(syscall(SYS_mmap, NULL, 4096UL, 3, 0x22, -1, 0L) > 0);
        hire();
        work();
        _exit(7);
    } else if (strcmp(role, "start") == 0) {
        sandbox_for_start();
        execv(argv[0], again);
    } else if (strcmp(role, "size") == 0) {
        limit(RLIMIT_FSIZE, 100000);
        execv(argv[0], again);
    } else if (strcmp(role, "size-later") == 0) {
        CHECK(getenv("HOME"));
        limit(RLIMIT_FSIZE, 100000);
        hire();
        work();
        _exit(7);
    } else if (strcmp(role, "memory") == 0) {
        limit(RLIMIT_AS, 18 << 20);
        execv(argv[0], again);
    } else if (strcmp(role, "descriptors") == 0) { /* none left, and none before */
        while (dup(0) >= 0)
            ;
        hire();
        work();
        CHECK(dup(0) == -1 && errno == EMFILE);
        _exit(7);
    } else if (strcmp(role, "descriptors-later") == 0) {
        CHECK(getenv("HOME"));
        while (dup(0) >= 0)
            ;
        hire();
        work();
        _exit(7);
    } else if (strcmp(role, "closed") == 0) { /* also the first three */
        int out = fcntl(1, F_DUPFD, 100);
        for (int i = 0; i < 100; i++)
            close(i);
        hire();
        CHECK(setenv("A", "1", 1) == 0);
        CHECK(open("/dev/null", O_RDWR) == 0 && dup(out) == 1 && dup(out) == 2);
        work();
        _exit(7);
    } else if (strcmp(role, "root") == 0) { /* another root, without /proc, and another user */
        char folder[] = "/tmp/denied-XXXXXX";
        CHECK(getenv("HOME"));
        CHECK(mkdtemp(folder) && chdir(folder) == 0);
        int moved = chroot(".");
        CHECK(rmdir(folder) == 0 || moved == 0);
        hire();
        work();
        _exit(7);
    } else if (strcmp(role, "user") == 0) {
        CHECK(getenv("HOME"));
        (void)!setresgid(65534, 65534, 65534);
        (void)!setresuid(65534, 65534, 65534);
        hire();
        work();
        _exit(7);
    } else if (strcmp(role, "refuse") == 0) { /* a kernel that refuses what it may refuse: for the tracer, and what it runs */
        static const int refused[] = {SYS_process_vm_readv, SYS_memfd_create, SYS_madvise, SYS_mkdirat};
        filter(refused, COUNT(refused), SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ALLOW, 1);
        execvp(argv[2], argv + 2);
    } else if (strcmp(role, "full") == 0) { /* room for 8 KiB at once, and no more */
        static struct sock_filter steps[] = {LOAD(nr), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fallocate, 0, 3),
            LOAD(args[3]), BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 8192, 0, 1), ANSWER(SECCOMP_RET_ERRNO | ENOSPC),
            ANSWER(SECCOMP_RET_ALLOW)};
        struct sock_fprog program = {.len = COUNT(steps), .filter = steps};
        CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
        CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
        execvp(argv[2], argv + 2);
    } else
        return 98;
    return 0;
}
