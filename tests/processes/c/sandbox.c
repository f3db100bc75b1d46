// seccomp: threads that read, set, unset and grow the environment where the kernel allows next to nothing.
//
//   sandbox [ERRNO]
//
// Allowed: mmap, madvise, futex, and what the program itself needs: write, exit, exit_group, rt_sigprocmask (pthread's exit),
// munmap, clock_nanosleep; any other call kills the process. With ERRNO, madvise is answered with that error instead.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_int started, wrong, done;

#define ALLOW(call)                                                                                                          \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static int shut(int madvise_error)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(mmap),
		ALLOW(futex),
		ALLOW(write),
		ALLOW(exit),
		ALLOW(exit_group),
		ALLOW(rt_sigprocmask),
		ALLOW(munmap),
		ALLOW(clock_nanosleep),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, madvise_error ? SECCOMP_RET_ERRNO | (unsigned)madvise_error : SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
}

static void *work(void *argument)
{
	int number = *(int *)argument;
	char large[4096] = {0};
	started++;
	while (started < 5) // until the filter is on
		;
	char name[8] = "V00_00";
	name[2] = (char)('0' + number);
	for (int i = 0; i < 20000; i++) {
		name[4] = (char)('0' + i / 10 % 10);
		name[5] = (char)('0' + i % 10);
		errno = 0;
		large[i % 4000] = 'x';
		if ((i & 3 ? setenv(name, number & 1 ? large : "small", 1) : unsetenv(name)) || errno)
			wrong++;
		const char *found = getenv("BYSTANDER");
		if (!found || strcmp(found, "here") || !getenv(name) != !(i & 3))
			wrong++;
	}
	done++;
	return NULL;
}

int main(int argc, char **argv)
{
	static char *list[] = {"BYSTANDER=here", NULL}; // no change before the filter is on: nothing of the library's is mapped
	extern char **environ;
	environ = list;
	pthread_t ids[4];
	int numbers[4] = {0, 1, 2, 3};
	for (int i = 0; i < 4; i++)
		pthread_create(&ids[i], NULL, work, &numbers[i]);
	while (started < 4)
		;
	if (shut(argc > 1 ? atoi(argv[1]) : 0)) {
		perror("sandbox: seccomp");
		_exit(77);
	}
	started++;
	for (int i = 0; i < 4; i++)
		pthread_join(ids[i], NULL);
	_exit(wrong || done != 4 ? 1 : 0);
}
