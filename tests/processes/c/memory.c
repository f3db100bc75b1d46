// Out of memory: the kernel refuses the k-th mapping that the library asks for, for each k in turn, once or from then on.
//
//   memory
//
// `mmap` and `madvise` are defined here, in the executable, so the library's calls of them come here first. After each refused
// change: -1, ENOMEM, the list as it was, pointer by pointer; reads go on; the next change with memory succeeds. Each k runs in
// a fresh process. Prints how many refusals were seen; exit 0 if all was as it must be.
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static long calls, refuse_from, refuse_to; // armed if refuse_to is not 0
static int refused, madvise_error;

void *mmap(void *at, size_t bytes, int protection, int flags, int file, off_t offset)
{
	if (++calls >= refuse_from && calls < refuse_to) {
		refused++;
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return (void *)syscall(SYS_mmap, at, bytes, protection, flags, file, offset);
}

int madvise(void *at, size_t bytes, int advice)
{
	if (madvise_error) {
		errno = madvise_error;
		return -1;
	}
	return (int)syscall(SYS_madvise, at, bytes, advice);
}

static int fail(const char *what, long k, int step)
{
	fprintf(stderr, "memory: %s (mapping %ld, step %d)\n", what, k, step);
	return 1;
}

// A change, by number: small strings at first, then large ones, many, and a putenv, so that all of strings, tables and arrays
// have to grow.
static char *large;

static int change(int step)
{
	static char kept[600][24];
	char name[24];
	snprintf(name, sizeof name, "N%d", step);
	switch (step % 7) {
	case 5:
		snprintf(kept[step], sizeof kept[step], "P%d=put", step);
		return putenv(kept[step]);
	case 6:
		snprintf(name, sizeof name, "N%d", step - 2);
		return unsetenv(name);
	default:
		return setenv(name, step % 40 == 0 ? large : "small", 1);
	}
}

static int run(long k, int once)
{
	static char *before[4096];
	if (k % 2) { // from a list that is not ours, too
		static char *list[] = {"FIRST=1", "BYSTANDER=here", "LAST=2", NULL};
		environ = list;
	} else if (clearenv() || setenv("BYSTANDER", "here", 1)) {
		return fail("could not start", k, -1);
	}
	calls = 0;
	refuse_from = k;
	refuse_to = once ? k + 1 : 1 << 30;
	int seen = 0;
	for (int step = 0; step < 500; step++) {
		char **list = environ;
		int n = 0;
		while (list && list[n] && n < 4096) {
			before[n] = list[n];
			n++;
		}
		errno = 0;
		int refused_before = refused;
		int result = change(step);
		if (result && (result != -1 || errno != ENOMEM))
			return fail("not -1 and ENOMEM", k, step);
		if (result && refused == refused_before)
			return fail("refused though there was memory", k, step);
		const char *value = getenv("BYSTANDER");
		if (!value || strcmp(value, "here"))
			return fail("a bystander is gone", k, step);
		if (!result)
			continue;
		seen = 1;
		if (environ != list)
			return fail("refused, but environ moved", k, step);
		for (int i = 0; i <= n; i++)
			if (list[i] != (i < n ? before[i] : NULL))
				return fail("refused, but the list changed", k, step);
		refuse_to = 0; // there is memory again
		errno = 0;
		if (change(step) || errno)
			return fail("the next change failed, too", k, step);
		refuse_to = once ? 0 : 1 << 30;
		refuse_from = calls + 1;
	}
	for (int step = 0; step < 500; step++) {
		char name[24];
		snprintf(name, sizeof name, "%c%d", step % 7 == 5 ? 'P' : 'N', step);
		if (step % 7 != 6 && (getenv(name) != NULL) == (step % 7 == 4 && step + 2 < 500))
			return fail("a variable is not as it was set", k, step);
	}
	return refused ? seen ? 40 : 41 : 0;
}

int main(void)
{
	int wrong = 0, reported = 0, absorbed = 0, k = 1;
	large = malloc(300001);
	memset(large, 'L', 300000);
	large[300000] = 0;
	for (int once = 0; once < 2; once++)
		for (k = 1; k < 200; k++) {
			pid_t pid = fork();
			if (!pid)
				_exit(run(k, once));
			int status;
			waitpid(pid, &status, 0);
			int code = WIFEXITED(status) ? WEXITSTATUS(status) : 99;
			reported += code == 40;
			absorbed += code == 41; // a smaller mapping did instead
			wrong += code != 0 && code != 40 && code != 41;
			if (code == 0)
				break; // fewer mappings than k
		}
	// The kernel refuses the advice: everything works in this process and in a quiet child.
	for (int error = 0; error < 3; error++) {
		pid_t pid = fork();
		if (!pid) {
			madvise_error = (int[]){EPERM, EINVAL, ENOSYS}[error];
			errno = 0;
			int failed = setenv("A", "1", 1) || errno || setenv("B", "2", 1) || unsetenv("A") || getenv("A") || !getenv("B");
			pid_t child = fork();
			if (!child)
				_exit(setenv("C", "3", 1) || !getenv("C") || !getenv("B"));
			int status;
			waitpid(child, &status, 0);
			_exit(failed || status);
		}
		int status;
		waitpid(pid, &status, 0);
		if (status)
			wrong += fail("with madvise refused", -1, error);
	}
	printf("refusals reported=%d absorbed=%d wrong=%d\n", reported, absorbed, wrong);
	return wrong || reported < 4;
}
