// The known limits, one by one: what exactly happens under the preload library, so that nobody is surprised.
//
//   limits CASE
//
// Each case prints what it sees; `run` compares that with what is documented, without and with the library.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void list(const char *what)
{
	printf("%s:", what);
	for (char **at = environ; at && *at; at++)
		printf(" %s", *at);
	printf("\n");
}

static void start(void)
{
	clearenv();
	setenv("A", "1", 1);
	setenv("B", "2", 1);
	setenv("C", "3", 1);
}

// Runs `body` in a child and says how it ended.
static void ends(const char *what, void (*body)(void))
{
	fflush(stdout);
	pid_t pid = fork();
	if (!pid) {
		struct rlimit none = {0, 0};
		setrlimit(RLIMIT_CORE, &none);
		fclose(stderr);
		body();
		_exit(0);
	}
	int status;
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		printf("%s: killed by %s\n", what, sigabbrev_np(WTERMSIG(status)));
	else
		printf("%s: fine\n", what);
}

static void *nothing(void *unused)
{
	return unused;
}

static void free_array(void)
{
	free(environ);
}

static void grow_array(void)
{
	environ = realloc(environ, 100 * sizeof *environ);
}

static void free_string(void)
{
	free(environ[0]);
}

int main(int argc, char **argv)
{
	const char *name = argc == 2 ? argv[1] : "";
	start();
	if (!strcmp(name, "order")) { // once a thread was made, new entries come first, and a removal reorders; order.c: before
		pthread_t thread;
		pthread_create(&thread, NULL, nothing, NULL);
		pthread_join(thread, NULL);
		list("set A B C, a thread");
		setenv("B", "two", 1);
		list("replace B");
		setenv("D", "4", 1);
		list("set D");
		unsetenv("C");
		list("unset C");
	} else if (!strcmp(name, "twice")) { // one of two entries of a name is replaced: the other goes, too
		static char *twice[] = {"A=1", "B=2", "A=3", NULL};
		environ = twice;
		setenv("A", "4", 1);
		list("set A");
	} else if (!strcmp(name, "free")) { // the array and the strings are no malloc's
		ends("free(environ)", free_array);
		ends("realloc(environ)", grow_array);
		ends("free(environ[0])", free_string);
	} else if (!strcmp(name, "putenv")) { // the string stays its owner's
		static char string[] = "OWN=old";
		putenv(string);
		memcpy(string, "OWN=new", 7);
		printf("value edited: OWN=%s\n", getenv("OWN"));
		memcpy(string, "ELS=new", 7);
		printf("name edited: OWN=%s ELS=%s\n", getenv("OWN") ? getenv("OWN") : "(null)", getenv("ELS"));
	} else if (!strcmp(name, "direct")) { // stores into environ are honoured, in their order with our changes
		environ[1] = "DIRECT=store";
		printf("environ[1]: DIRECT=%s\n", getenv("DIRECT"));
		setenv("D", "4", 1);
		printf("after setenv: DIRECT=%s D=%s\n", getenv("DIRECT"), getenv("D"));
		static char *other[] = {"OTHER=list", NULL};
		char **saved = environ;
		environ = other;
		setenv("E", "5", 1);
		list("assigned, then set E");
		printf("the assigned list itself: %s %s\n", other[0], other[1] ? other[1] : "(null)");
		// What a saved pointer into the library's array (or libc's) shows after another list was changed is not defined.
		environ = saved;
		environ[0] = NULL;
		printf("cut: A=%s\n", getenv("A") ? getenv("A") : "(null)");
		setenv("F", "6", 1);
		list("cut, then set F");
	} else if (!strcmp(name, "kept")) { // values stay valid for ever, and so their memory stays
		setenv("V", "first", 1);
		const char *first = getenv("V");
		setenv("V", "second", 1);
		unsetenv("V");
		printf("a value read before two changes: %s\n", first);
	} else {
		fprintf(stderr, "usage: limits order|twice|free|putenv|direct|kept\n");
		return 2;
	}
	return 0;
}
