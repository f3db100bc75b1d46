// How many children, started with `environ` beside writers, miss a variable that nobody touches or see one twice.
//
//   spawn posix_spawn|execve COUNT VARIABLES churn|fresh|replace|none CHILD
//
// CHILD is this program again, linked statically: it starts fast, and looks at nothing but what the kernel gave it. One thread
// writes all the time. "churn": it unsets and sets 16 names in turn; half of them were set before the variables that are looked
// for, half after. "fresh": the same, but all 16 are unset before they are set again, and before each child the variables are
// unset and set anew, so that they stand where the writer works. "replace": it changes the values of 16 that stay.
// Prints one line: children; refused by the kernel (EFAULT, otherwise), with garbled entries, with entries lost, doubled;
// with one of the written names twice; entries lost, doubled in all.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

struct report {
	unsigned garbled, lost, doubled, written_doubled;
};

static atomic_bool stop;
static const char *kind;

static void *write_all(void *unused)
{
	(void)unused;
	char name[16], value[32];
	for (unsigned long round = 0; !stop; round++) {
		for (int i = 0; i < 16 && *kind == 'f'; i++) {
			snprintf(name, sizeof name, "W%d", i);
			unsetenv(name);
		}
		for (int i = 0; i < 16; i++) {
			snprintf(name, sizeof name, "W%d", i);
			snprintf(value, sizeof value, "%lu", round % 1000);
			if (*kind == 'c')
				unsetenv(name);
			setenv(name, value, 1);
		}
	}
	return NULL;
}

static void set_stable(int variables)
{
	for (int i = 0; i < variables; i++) {
		char name[32], value[32];
		snprintf(name, sizeof name, "STABLE_%d", i);
		snprintf(value, sizeof value, "%u", (unsigned)i * 7919u);
		unsetenv(name);
		setenv(name, value, 1);
	}
}

static void set_written(int from, int to)
{
	for (int i = from; i < to; i++) {
		char name[16];
		snprintf(name, sizeof name, "W%d", i);
		setenv(name, "0", 1);
	}
}

// In the child: its report goes through the file descriptor 3, a shared page.
static int examine(char **list, int variables)
{
	struct report *report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED, 3, 0);
	unsigned char *seen = calloc(1, (size_t)variables), written[16] = {0};
	if (report == MAP_FAILED || !seen)
		return 1;
	for (char **at = list; *at; at++) {
		char *end;
		if (!strncmp(*at, "STABLE_", 7)) {
			unsigned long i = strtoul(*at + 7, &end, 10);
			if (*end == '=' && i < (unsigned long)variables && strtoul(end + 1, NULL, 10) == i * 7919u)
				seen[i] += seen[i] < 2;
			else
				report->garbled++;
		} else if (**at == 'W' && strchr(*at, '=')) {
			unsigned long i = strtoul(*at + 1, NULL, 10);
			if (i < 16 && written[i]++)
				report->written_doubled++;
		} else if (strncmp(*at, "LD_", 3) || !strchr(*at, '=')) {
			report->garbled++;
		}
	}
	for (int i = 0; i < variables; i++) {
		report->lost += seen[i] == 0;
		report->doubled += seen[i] == 2;
	}
	return 0;
}

int main(int argc, char **argv, char **envp)
{
	if (argc == 3 && !strcmp(argv[1], "child"))
		return examine(envp, atoi(argv[2]));
	if (argc != 6) {
		fprintf(stderr, "usage: spawn posix_spawn|execve COUNT VARIABLES churn|fresh|replace|none CHILD\n");
		return 2;
	}
	int by_spawn = !strcmp(argv[1], "posix_spawn"), count = atoi(argv[2]), variables = atoi(argv[3]);
	kind = argv[4];
	char *child = realpath(argv[5], NULL), *child_argv[] = {child, "child", argv[3], NULL};
	int page = memfd_create("report", 0);
	if (!child || page < 0 || ftruncate(page, sizeof(struct report)) || dup2(page, 3) != 3)
		return 2;
	struct report *report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED, 3, 0);

	char *preload = getenv("LD_PRELOAD") ? strdup(getenv("LD_PRELOAD")) : NULL;
	clearenv();
	if (preload)
		setenv("LD_PRELOAD", preload, 1);
	set_written(0, 8);
	set_stable(variables);
	set_written(8, 16);
	pthread_t writer;
	int writing = *kind != 'n' && !pthread_create(&writer, NULL, write_all, NULL);

	unsigned efault = 0, refused = 0, garbled = 0, lost = 0, doubled = 0, written = 0, lost_entries = 0, doubled_entries = 0;
	for (int i = 0; i < count; i++) {
		memset(report, 0, sizeof *report);
		if (*kind == 'f') // not more of them: setting is slow in a long list
			set_stable(variables < 40 ? variables : 40);
		pid_t pid;
		int error = 0, status = 0;
		char **list = __atomic_load_n(&environ, __ATOMIC_ACQUIRE);
		if (by_spawn) {
			error = posix_spawn(&pid, child, NULL, NULL, child_argv, list);
		} else {
			volatile int failed = 0;
			pid = vfork();
			if (!pid) {
				execve(child, child_argv, list);
				failed = errno;
				_exit(0);
			}
			error = failed;
			if (error)
				waitpid(pid, NULL, 0);
		}
		if (error) {
			efault += error == EFAULT;
			refused += error != EFAULT;
			continue;
		}
		waitpid(pid, &status, 0);
		garbled += status != 0 || report->garbled;
		lost += report->lost != 0;
		doubled += report->doubled != 0;
		written += report->written_doubled != 0;
		lost_entries += report->lost;
		doubled_entries += report->doubled;
	}
	stop = 1;
	if (writing)
		pthread_join(writer, NULL);
	printf("spawn %-11s %-7s variables=%-4d children=%d EFAULT=%u otherwise-refused=%u garbled=%u lost=%u doubled=%u "
	       "written-doubled=%u entries-lost=%u entries-doubled=%u\n",
	       argv[1], kind, variables, count, efault, refused, garbled, lost, doubled, written, lost_entries, doubled_entries);
	return efault || refused || garbled;
}
