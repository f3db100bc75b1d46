// Crashes of many kinds, for the corpus of `mtsafe-env diagnose`: see `make`.
//
//   crash KIND
//
// Kinds that begin with `read` or `write` race with a thread that changes the environment, and die of it under a libc that needs the
// library. All others die of something else, most of them while such a thread exists or under a function that reads the environment.
// In a process with CRASH_PRINT set, a handler prints the backtrace, as many programs have one.
#define _GNU_SOURCE
#include <assert.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <locale.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <wordexp.h>
#ifdef __GLIBC__
#include <execinfo.h>
#include <libintl.h>
#endif

extern char **environ;
static const char *kind;
static volatile int zero;

static void *change(void *unused)
{
	char name[32];
	void *live[32] = { 0 };
	for (unsigned round = 0;; round++) {
		for (int i = 0; i < 400; i++) {
			snprintf(name, sizeof name, "COMES_AND_GOES_%d", i);
			setenv(name, "a value that is there for a moment", 1);
		}
		for (int i = 0; i < 100; i++) {
			snprintf(name, sizeof name, "COMES_AND_GOES_%d", i);
			unsetenv(name);
		}
		clearenv(); // glibc gives its array back here, and where it grows; soon that memory is something else
		for (int i = 0; i < 32; i++) {
			free(live[i]);
			live[i] = malloc(64 + (round + i) * 379 % 16384);
			memset(live[i], 'Z', 64 + (round + i) * 379 % 16384);
		}
	}
	return unused;
}

static int is(const char *name) { return !strcmp(kind, name); }

static void *read_it(void *unused)
{
	volatile size_t bytes = 0;
	for (;;) {
		if (is("read-getenv"))
			getenv("NOT_THERE");
#ifdef __GLIBC__
		if (is("read-secure"))
			secure_getenv("NOT_THERE");
#endif
		if (is("read-localtime")) {
			time_t now = 0;
			struct tm tm;
			localtime_r(&now, &tm);
			tzset();
		}
		if (is("read-mktime")) {
			struct tm tm = { .tm_year = 100 };
			mktime(&tm);
		}
		if (is("read-locale")) {
			locale_t locale = newlocale(LC_ALL_MASK, "", 0);
			if (locale)
				freelocale(locale);
		}
		if (is("read-walk"))
			for (char **p = environ; *p; p++)
				bytes += strlen(*p);
		if (is("read-words")) {
			wordexp_t words;
			if (!wordexp("$NOT_THERE x", &words, WRDE_NOCMD))
				wordfree(&words);
		}
		if (is("read-glib")) {
			static char **(*all)(void);
			static void (*free_all)(char **);
			if (!all) {
				void *glib = dlopen("libglib-2.0.so.0", RTLD_NOW);
				all = (char **(*)(void))dlsym(glib, "g_get_environ");
				free_all = (void (*)(char **))dlsym(glib, "g_strfreev");
			}
			free_all(all());
		}
		if (is("write-both"))
			change(NULL);
	}
	return unused;
}

static int recurse(int depth) { char room[256]; memset(room, depth, sizeof room); return recurse(depth + 1) + room[depth % 256]; }
static int compare(const void *a, const void *b) { return **(int **)a - **(int **)b; }
struct request { const char *host; int port; };
static volatile int seen;
static void handle(struct request *request) { seen = request->port; }

static void *die(void *unused)
{
	char *volatile none = NULL;
	void *volatile bad = (void *)8;
	struct tm *nowhere = bad;
	time_t now = 0;
	usleep(20000);
	if (is("null") || is("null-beside-writer")) handle((struct request *)none);
	if (is("stack")) recurse(0);
	if (is("double-free")) { void *p = malloc(2000); malloc(16); free(p); free(p); }
	if (is("assert")) assert(zero);
	if (is("jump")) ((void (*)(void))bad)();
	if (is("strlen") || is("strlen-beside-writer")) printf("%zu\n", strlen(none));
	if (is("strcmp")) printf("%d\n", strcmp(none, "x"));
	if (is("getenv-null")) getenv(none);
	if (is("getenv-bad")) getenv(bad);
	if (is("trap")) __builtin_trap();
	if (is("qsort")) { int one = 1, *list[3] = { &one, bad, &one }; qsort(list, 3, sizeof *list, compare); }
	if (is("bus")) { int f = open("/tmp", O_TMPFILE | O_RDWR, 0600); char *p = mmap(0, 4096, PROT_READ, MAP_SHARED, f, 0); zero = *p; }
	if (is("killed")) { kill(getpid(), SIGSEGV); pause(); }
	if (is("localtime-bad")) localtime_r(&now, nowhere);
	if (is("localtime-null")) localtime(bad);
	if (is("mktime-bad")) mktime(nowhere);
	if (is("address-bad")) { struct addrinfo *found; getaddrinfo(bad, "80", NULL, &found); }
	if (is("locale-bad")) setlocale(LC_ALL, bad);
	if (is("setenv-bad")) setenv("NAME", bad, 1);
	if (is("putenv-bad")) putenv(bad);
	if (is("printf")) printf("%s %s\n", "name", (char *)bad);
	if (is("unlock")) { pthread_mutex_t *mutex = bad; pthread_mutex_lock(mutex); }
	if (is("free-bad")) free((char *)bad + 3);
	return unused;
}

#ifdef __GLIBC__
static void print(int number)
{
	void *frames[64];
	backtrace_symbols_fd(frames, backtrace(frames, 64), 2);
	signal(number, SIG_DFL);
	raise(number);
}
#endif

int main(int argc, char **argv)
{
	pthread_t thread;
	kind = argc == 2 ? argv[1] : "null";
#ifdef __GLIBC__
	if (getenv("CRASH_PRINT")) {
		void *frames[1];
		backtrace(frames, 1);
		signal(SIGSEGV, print);
		fputs("Segmentation fault, backtrace:\n", stderr);
	}
#endif
	int races = !strncmp(kind, "read", 4) || !strncmp(kind, "write", 5);
	if (races || strstr(kind, "beside-writer"))
		pthread_create(&thread, NULL, change, NULL);
	pthread_create(&thread, NULL, races ? read_it : die, NULL);
	pthread_join(thread, NULL);
	return 0;
}
