// A library that keeps libc's functions beside a program that uses the preloaded ones.
//
//   deep DEEP_LIBRARY
//
// Both change the environment in turn and see each other's changes. On one thread: libc's functions are as they are, and
// whoever uses them beside other threads has libc's races.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int wrong;

static void is(int line, const char *name, char *(*get)(const char *), const char *wanted)
{
	const char *found = get(name);
	if ((found == NULL) != (wanted == NULL) || (found && strcmp(found, wanted))) {
		fprintf(stderr, "deep: line %d: %s is %s\n", line, name, found ? found : "(null)");
		wrong++;
	}
}
#define IS(name, wanted) (is(__LINE__, name, getenv, wanted), is(__LINE__, name, get, wanted))

int main(int argc, char **argv)
{
	void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_DEEPBIND) : NULL;
	if (!library) {
		fprintf(stderr, "deep: %s\n", dlerror());
		return 2;
	}
	char *(*get)(const char *) = (char *(*)(const char *))dlsym(library, "deep_get");
	int (*set)(const char *, const char *) = (int (*)(const char *, const char *))dlsym(library, "deep_set");
	int (*unset)(const char *) = (int (*)(const char *))dlsym(library, "deep_unset");
	setenv("BYSTANDER", "here", 1);
	for (int round = 0; round < 200; round++) {
		char name[16], other[16], value[16];
		snprintf(value, sizeof value, "%d", round);
		snprintf(name, sizeof name, "LIBC%d", round % 50);
		snprintf(other, sizeof other, "OURS%d", round % 50);
		// libc copies our list into an array of its own, adds, and publishes it; our next change adopts that.
		if (set(name, value) || setenv(other, value, 1))
			wrong++;
		IS(name, value);
		IS(other, value);
		if (round % 5 == 0) {
			if (unsetenv(name))
				wrong++;
			IS(name, NULL);
		}
	}
	for (int i = 0; i < 50; i++) {
		char name[16];
		snprintf(name, sizeof name, "OURS%d", i);
		if (unset(name))
			wrong++;
		IS(name, NULL);
		if (setenv(name, "again", 1) || unset(name))
			wrong++;
		IS(name, NULL);
	}
	IS("BYSTANDER", "here");
	printf("deep: %s\n", wrong ? "wrong" : "fine");
	return wrong != 0;
}
