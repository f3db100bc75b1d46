// Changes after main: atexit handlers, destructors, and threads that are still running then.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int step;

static void all(const char *who)
{
	char value[16];
	snprintf(value, sizeof value, "%d", ++step);
	if (setenv("LAST", value, 1) || !getenv("LAST") || strcmp(getenv("LAST"), value) || unsetenv("GONE") || getenv("GONE") ||
	    setenv("GONE", "back", 1) || putenv((char[]){"ON_STACK=1"}) || unsetenv("ON_STACK")) {
		fprintf(stderr, "last: %s failed\n", who);
		_exit(1);
	}
}

__attribute__((destructor)) static void destructor(void)
{
	all("destructor");
	printf("last: %d steps\n", step);
	fflush(stdout);
	if (clearenv() || getenv("LAST") || setenv("END", "1", 1) || step != 4)
		_exit(1);
}

static void first_registered(void)
{
	all("atexit, registered first");
}

static void second_registered(void)
{
	all("atexit, registered second");
}

static void *forever(void *unused)
{
	(void)unused;
	for (;;) {
		setenv("FOREVER", "1", 1);
		unsetenv("FOREVER");
		getenv("LAST");
	}
	return NULL;
}

int main(void)
{
	atexit(first_registered);
	atexit(second_registered);
	all("main");
	pthread_t id;
	pthread_create(&id, NULL, forever, NULL);
	return 0;
}
