// Storms: threads, children and signal handlers that read the environment while other threads change it.
//
//   storm KIND SECONDS SEED VARIABLES WRITERS
//
// KIND: thread, assign, signal, fork, vfork, clone, spawn. STABLE_0..n are set before the first thread starts and never touched
// again: whoever misses one, or finds another value, has found a fault. Writers set and unset names of their own meanwhile.
// Prints one line; exit 0 if all went well, 1 for a fault, 3 for a hang (no progress for 20 s), else a signal.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <locale.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { MAX_THREADS = 32, NAMES = 64, CHILD_SECONDS = 20 };

static int stable;
static atomic_bool stop;
static atomic_ullong reads, writes, children, signals, bad;
// Of children started with execve or posix_spawn beside writers: the kernel copies backwards.
static atomic_ullong refused, lost, doubled;
static pthread_t writer_ids[MAX_THREADS];
static int writers;
static char *(*libc_getenv)(const char *); // libc's own, as libc itself calls it
static char *self;
static char variables_text[16];

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void complain(const char *what, const char *name, const char *found)
{
	char line[256];
	int n = snprintf(line, sizeof line, "storm: %s: %s: %s\n", what, name, found ? found : "(missing)");
	if (write(2, line, (size_t)n) < 0)
		abort();
	atomic_fetch_add(&bad, 1);
}

// AS-Safe: no stdio on the good path, no allocation.
static void number(char *at, unsigned n)
{
	char digits[12];
	int i = 0;
	do
		digits[i++] = (char)('0' + n % 10);
	while (n /= 10);
	while (i)
		*at++ = digits[--i];
	*at = 0;
}

static void stable_name(char *name, int i)
{
	memcpy(name, "STABLE_", 7);
	number(name + 7, (unsigned)i);
}

static int check_one(const char *who, int i)
{
	char name[32], value[32];
	stable_name(name, i);
	number(value, (unsigned)i * 7919u);
	const char *found = getenv(name);
	const char *libcs = libc_getenv ? libc_getenv(name) : found;
	if (found && !strcmp(found, value) && libcs && !strcmp(libcs, value))
		return 0;
	complain(who, name, found && libcs ? found : NULL);
	return 1;
}

// What a program does that walks environ: each stable variable is there, in any forward walk, with its value.
static int check_walk(char **list)
{
	static _Thread_local unsigned char seen[8192];
	memset(seen, 0, (size_t)stable);
	for (char **at = list; at && *at; at++) {
		if (strncmp(*at, "STABLE_", 7))
			continue;
		char *end;
		unsigned long i = strtoul(*at + 7, &end, 10);
		if (*end != '=' || i >= (unsigned long)stable || strtoul(end + 1, NULL, 10) != i * 7919u) {
			complain("walk", "garbled", *at);
			return 1;
		}
		if (seen[i] < 2)
			seen[i]++;
	}
	for (int i = 0; i < stable; i++)
		if (!seen[i]) {
			char name[32];
			stable_name(name, i);
			complain("walk", name, NULL);
			return 1;
		}
	return 0;
}

// Names come from few, so that entries are deleted, added, replaced and moved all the time: the stable variables come to rest at
// the end of the list, these do not. Only the writer itself changes its names, so it knows which of them are there.
static void change(uint64_t *state, int writer)
{
	char name[32], value[600], both[700];
	uint64_t r = next(state);
	int i = (int)(r % NAMES);
	snprintf(name, sizeof name, "W%d_%d", writer, i);
	static _Thread_local unsigned char there[NAMES];
	int other = (int)(r >> 48 & (NAMES - 1));
	char others[32];
	snprintf(others, sizeof others, "W%d_%d", writer, other);
	if (!getenv(others) != !there[other])
		complain("between two changes", others, getenv(others));
	there[i] = (r >> 32 & 7) > 2;
	int length = r >> 8 & 15 ? (int)(r >> 16 & 31) : (int)(r >> 16 & 511);
	switch (r >> 32 & 7) {
	case 0:
	case 1:
	case 2:
		if (unsetenv(name))
			complain("unsetenv", name, strerror(errno));
		if (getenv(name))
			complain("unset, but there", name, getenv(name));
		break;
	case 3: {
		snprintf(both, sizeof both, "%s=put", name);
		static char *strings[MAX_THREADS][NAMES];
		if (!strings[writer][i])
			strings[writer][i] = strdup(both);
		if (putenv(strings[writer][i]))
			complain("putenv", name, strerror(errno));
		break;
	}
	default: {
		memset(value, 'a' + i % 26, (size_t)length);
		value[length] = 0;
		if (setenv(name, value, r >> 40 & 1))
			complain("setenv", name, strerror(errno));
		const char *found = getenv(name);
		if (!found || (r >> 40 & 1 && strcmp(found, value)))
			complain("set, but not so", name, found);
	}
	}
	atomic_fetch_add_explicit(&writes, 1, memory_order_relaxed);
}

struct job {
	uint64_t seed;
	int number;
};

static void *write_all(void *argument)
{
	struct job *job = argument;
	uint64_t state = job->seed;
	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		change(&state, job->number);
	return NULL;
}

static void *read_all(void *argument)
{
	struct job *job = argument;
	uint64_t state = job->seed;
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		uint64_t r = next(&state);
		if (r >> 32 & 63) {
			check_one("getenv", (int)(r % (unsigned)stable));
		} else if (r >> 40 & 7) {
			check_walk(__atomic_load_n(&environ, __ATOMIC_ACQUIRE));
		} else { // libc's own readers
			struct tm tm;
			time_t t = (time_t)(r >> 44);
			tzset();
			localtime_r(&t, &tm);
			locale_t locale = newlocale(LC_ALL_MASK, "", NULL);
			if (locale)
				freelocale(locale);
			struct addrinfo hints = {.ai_flags = AI_NUMERICHOST}, *found = NULL;
			if (!getaddrinfo("127.0.0.1", "80", &hints, &found))
				freeaddrinfo(found);
		}
		atomic_fetch_add_explicit(&reads, 1, memory_order_relaxed);
	}
	return NULL;
}

// A program that saves and restores environ. Every list it assigns has all the stable variables; what others set in between is
// lost, as it must be, so nobody else checks its own writes.
static void *assign_all(void *argument)
{
	struct job *job = argument;
	uint64_t state = job->seed;
	char **lists[4];
	for (int l = 0; l < 4; l++) {
		lists[l] = malloc(sizeof(char *) * (size_t)(stable + l + 1));
		int n = 0;
		for (int i = 0; i < stable; i++) {
			char entry[64];
			stable_name(entry, i);
			strcat(entry, "=");
			number(entry + strlen(entry), (unsigned)i * 7919u);
			lists[l][n++] = strdup(entry);
		}
		for (int i = 0; i < l; i++)
			lists[l][n++] = strdup("JUNK=1");
		lists[l][n] = NULL;
	}
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		uint64_t r = next(&state);
		if (r & 4) // back to what was there before
			lists[3] = __atomic_load_n(&environ, __ATOMIC_ACQUIRE);
		__atomic_store_n(&environ, lists[r & 3], __ATOMIC_RELEASE);
		char name[16];
		snprintf(name, sizeof name, "A%d", (int)(r >> 8 & 31));
		if (r >> 20 & 1 ? setenv(name, "assigned", 1) : unsetenv(name))
			complain("setenv", name, strerror(errno));
		atomic_fetch_add_explicit(&writes, 1, memory_order_relaxed);
	}
	return NULL;
}

static void *in_child_thread(void *argument)
{
	(void)argument;
	for (int i = 0; i < 20; i++) {
		check_one("thread in child", i % stable);
		if (setenv("CHILD_THREAD", "1", 1) || unsetenv("CHILD_THREAD"))
			complain("thread in child", "setenv", strerror(errno));
	}
	return NULL;
}

// All a child must be able to do at once. Exit status 0 or 1.
static int child_works(uint64_t r, int may_start_threads)
{
	int wrong = 0;
	alarm(CHILD_SECONDS);
	atomic_store(&bad, 0);
	for (int i = 0; i < 4; i++)
		wrong |= check_one("child", (int)((r >> (8 * i)) % (unsigned)stable));
	if (setenv("CHILD", "here", 1) || !getenv("CHILD") || strcmp(getenv("CHILD"), "here"))
		wrong = 1;
	for (int i = 0; i < 8; i++) {
		char name[32];
		memcpy(name, "W0_", 3);
		number(name + 3, (unsigned)(r >> (4 * i)) % NAMES);
		if (unsetenv(name) || getenv(name) || setenv(name, "child", 1) || !getenv(name))
			wrong = 1;
	}
	if (unsetenv("CHILD") || getenv("CHILD"))
		wrong = 1;
	wrong |= check_walk(environ);
	if (may_start_threads && !(r & 7)) {
		pthread_t id[2];
		for (int i = 0; i < 2; i++)
			if (pthread_create(&id[i], NULL, in_child_thread, NULL))
				return wrong;
		for (int i = 0; i < 2; i++)
			pthread_join(id[i], NULL);
		wrong |= atomic_load(&bad) != 0;
	}
	return wrong;
}

static void await(pid_t pid, const char *how, int exec)
{
	int status;
	if (pid < 0) {
		complain(how, "no child", strerror(errno));
		return;
	}
	while (waitpid(pid, &status, __WALL) < 0)
		if (errno != EINTR) {
			complain(how, "waitpid", strerror(errno));
			return;
		}
	atomic_fetch_add(&children, 1);
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	if (exec && code >= 40 && code < 44) { // beside a delete and an add: counted, not judged
		atomic_fetch_add(&lost, (code - 40) & 1);
		atomic_fetch_add(&doubled, (code - 40) >> 1);
	} else if (exec && code == 50) {
		atomic_fetch_add(&refused, 1);
		complain(how, "exec", "refused");
	} else if (code) {
		char text[64];
		snprintf(text, sizeof text, "status %x%s", status,
			 WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? " (hang)" : "");
		complain(how, "child", text);
	}
}

static int clone_body(void *argument)
{
	uint64_t r = *(uint64_t *)argument;
	return check_one("clone", (int)(r % (unsigned)stable)) | (setenv("CLONED", "1", 1) != 0) | (unsetenv("CLONED") != 0);
}

static char *child_argv[5];

static void start_child(const char *kind, uint64_t r)
{
	pid_t pid;
	if (!strcmp(kind, "fork")) {
		pid = fork();
		if (!pid)
			_exit(child_works(r, 1));
		await(pid, kind, 0);
	} else if (!strcmp(kind, "vfork")) {
		char **volatile list = NULL;
		pid = vfork();
		if (!pid) { // shares the list, the store and the lock with the parent
			if (check_one("vfork", (int)(r % (unsigned)stable)) || setenv("VFORKED", r & 64 ? "1" : "2", 1) ||
			    (r & 128 && unsetenv("VFORKED")))
				_exit(1);
			list = __atomic_load_n(&environ, __ATOMIC_ACQUIRE);
			execve(self, child_argv, list);
			_exit(50);
		}
		await(pid, kind, 1);
	} else if (!strcmp(kind, "clone")) {
		if (r & 1) { // as fork does, behind libc's back: no handler runs
			pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
			if (!pid)
				_exit(child_works(r, 0));
			await(pid, kind, 0);
		} else { // another process in the same memory, running beside us
			static _Thread_local char *stack;
			if (!stack)
				stack = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			pid = clone(clone_body, stack + (1 << 16), CLONE_VM | SIGCHLD, &r);
			await(pid, kind, 0);
		}
	} else {
		int error = posix_spawn(&pid, self, NULL, NULL, child_argv, __atomic_load_n(&environ, __ATOMIC_ACQUIRE));
		if (error) {
			atomic_fetch_add(&refused, 1);
			complain(kind, "posix_spawn", strerror(error));
		} else {
			await(pid, kind, 1);
		}
	}
}

struct breeder {
	struct job job;
	const char *kind;
};

static void *breed(void *argument)
{
	struct breeder *breeder = argument;
	uint64_t state = breeder->job.seed;
	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		start_child(breeder->kind, next(&state));
	return NULL;
}

// The signal storm: handlers interrupt setenv, read, and fork there, as crash handlers do.
static _Thread_local int returned_child;

static void handler(int number)
{
	(void)number;
	static atomic_uint turn;
	int saved = errno;
	unsigned t = atomic_fetch_add(&turn, 1);
	for (int i = 0; i < 4; i++)
		check_one("handler", (int)((t + (unsigned)i * 131) % (unsigned)stable));
	if (t % 64 == 0) {
		pid_t pid = t % 128 ? fork() : (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
		if (!pid) {
			signal(SIGUSR1, SIG_IGN);
			if (t % 256 < 128)
				_exit(child_works(t * 2654435761u, 0));
			// The other half returns into the interrupted setenv and looks after that.
			if (setenv("IN_HANDLER", "1", 1) || setenv("HANDLER_2", "2", 1) || unsetenv("HANDLER_2"))
				_exit(1);
			returned_child = 1;
			alarm(CHILD_SECONDS);
		} else {
			await(pid, "fork in handler", 0);
		}
	}
	atomic_fetch_add(&signals, 1);
	errno = saved;
}

static void *write_interrupted(void *argument)
{
	struct job *job = argument;
	uint64_t state = job->seed;
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		// Not with names of others, and no stdio or malloc that a handler's child would find locked.
		char name[32] = "W", value[64];
		uint64_t r = next(&state);
		number(name + 1, (unsigned)job->number);
		strcat(name, "_");
		number(name + strlen(name), (unsigned)(r % NAMES));
		size_t length = r >> 16 & 31;
		memset(value, 'z', length);
		value[length] = 0;
		int failed = r >> 32 & 1 ? unsetenv(name) : setenv(name, value, 1);
		if (returned_child) {
			const char *found = getenv("IN_HANDLER");
			int wrong = failed || !found || strcmp(found, "1");
			found = getenv(name);
			wrong |= r >> 32 & 1 ? found != NULL : !found || strcmp(found, value);
			if (wrong)
				complain("returned child", name, found);
			_exit(wrong | child_works(r, 0));
		}
		if (failed)
			complain("interrupted setenv", name, strerror(errno));
		atomic_fetch_add_explicit(&writes, 1, memory_order_relaxed);
	}
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return NULL;
}

static void *shoot(void *argument)
{
	struct job *job = argument;
	uint64_t state = job->seed;
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		uint64_t r = next(&state);
		pthread_kill(writer_ids[r % (unsigned)writers], SIGUSR1);
		for (volatile unsigned i = 0; i < (r >> 32 & 4095); i++)
			;
		if (!(r >> 48 & 15))
			sched_yield();
	}
	return NULL;
}

// What a child started by exec sees: every stable variable once?
static int examine(char **list)
{
	static unsigned char seen[8192];
	int n = stable, missing = 0, twice = 0;
	for (char **at = list; *at; at++) {
		if (strncmp(*at, "STABLE_", 7))
			continue;
		char *end;
		unsigned long i = strtoul(*at + 7, &end, 10);
		if (*end != '=' || i >= (unsigned long)n || strtoul(end + 1, NULL, 10) != i * 7919u)
			return 60; // garbage
		twice |= seen[i]++ != 0;
	}
	for (int i = 0; i < n; i++)
		missing |= !seen[i];
	return missing | twice ? 40 + missing + 2 * twice : 0;
}

int main(int argc, char **argv, char **envp)
{
	if (argc == 3 && !strcmp(argv[1], "child")) {
		stable = atoi(argv[2]);
		return examine(envp);
	}
	if (argc != 6) {
		fprintf(stderr, "usage: storm thread|assign|signal|fork|vfork|clone|spawn SECONDS SEED VARIABLES WRITERS\n");
		return 2;
	}
	const char *kind = argv[1];
	int seconds = atoi(argv[2]);
	uint64_t seed = strtoull(argv[3], NULL, 10) * 0x9E3779B97F4A7C15u | 1;
	stable = atoi(argv[4]);
	writers = atoi(argv[5]);
	if (stable < 1 || stable > 8192 || writers < 1 || writers > MAX_THREADS)
		return 2;
	void *libc = dlopen("libc.so.6", RTLD_LAZY);
	if (libc)
		libc_getenv = (char *(*)(const char *))dlsym(libc, "getenv");
	self = realpath("/proc/self/exe", NULL);
	snprintf(variables_text, sizeof variables_text, "%d", stable);
	child_argv[0] = self;
	child_argv[1] = "child";
	child_argv[2] = variables_text;

	for (int i = 0; i < stable; i++) {
		char name[32], value[32];
		stable_name(name, i);
		number(value, (unsigned)i * 7919u);
		if (setenv(name, value, 1))
			return 2;
	}
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
	sigaction(SIGUSR1, &action, NULL);

	int is_signal = !strcmp(kind, "signal"), is_assign = !strcmp(kind, "assign"), is_thread = !strcmp(kind, "thread");
	pthread_t ids[MAX_THREADS + 8];
	struct breeder jobs[MAX_THREADS + 8];
	int n = 0;
	for (int i = 0; i < writers; i++, n++) {
		jobs[n] = (struct breeder){{next(&seed), i}, kind};
		pthread_create(&ids[n], NULL, is_signal ? write_interrupted : is_assign ? assign_all : write_all, &jobs[n]);
		writer_ids[i] = ids[n];
	}
	for (int i = 0; i < (is_thread || is_assign ? 3 : 2); i++, n++) {
		jobs[n] = (struct breeder){{next(&seed), i}, kind};
		pthread_create(&ids[n], NULL, is_signal && i == 0 ? shoot : is_thread || is_assign || is_signal ? read_all : breed,
			       &jobs[n]);
	}
	unsigned long long before = 0;
	for (int s = 0, still = 0; s < seconds; s++) {
		sleep(1);
		unsigned long long now = atomic_load(&writes);
		still = now == before ? still + 1 : 0;
		before = now;
		if (still >= 20) {
			fprintf(stderr, "storm: hang: no change for %d s\n", still);
			_exit(3);
		}
	}
	atomic_store(&stop, 1);
	alarm(60); // who does not stop hangs
	for (int i = 0; i < n; i++)
		pthread_join(ids[i], NULL);
	if (!is_assign)
		check_walk(environ);
	printf("storm %-6s seconds=%d variables=%d writers=%d reads=%llu writes=%llu children=%llu signals=%llu refused=%llu "
	       "exec-lost=%llu exec-doubled=%llu faults=%llu\n",
	       kind, seconds, stable, writers, atomic_load(&reads), atomic_load(&writes), atomic_load(&children),
	       atomic_load(&signals), atomic_load(&refused), atomic_load(&lost), atomic_load(&doubled), atomic_load(&bad));
	return atomic_load(&bad) != 0;
}
