// The library is opened late, with dlopen, instead of being preloaded; then closed.
//
//   late LIBRARY
//
// libc's functions and the library's are used in turn on the same environment: each takes over what the other left.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int check(int line, const char *name, char *(*get)(const char *), const char *wanted)
{
	const char *found = get(name);
	if ((found && wanted && !strcmp(found, wanted)) || (!found && !wanted))
		return 0;
	fprintf(stderr, "late: line %d: %s is %s\n", line, name, found ? found : "(null)");
	return 1;
}
#define IS(name, wanted) (check(__LINE__, name, getenv, wanted) | check(__LINE__, name, get, wanted))

int main(int argc, char **argv)
{
	int wrong = 0;
	setenv("BEFORE", "libc", 1);
	void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL) : NULL;
	if (!library) {
		fprintf(stderr, "late: %s\n", dlerror());
		return 2;
	}
	char *(*get)(const char *) = (char *(*)(const char *))dlsym(library, "getenv");
	int (*set)(const char *, const char *, int) = (int (*)(const char *, const char *, int))dlsym(library, "setenv");
	int (*unset)(const char *) = (int (*)(const char *))dlsym(library, "unsetenv");
	int (*clear)(void) = (int (*)(void))dlsym(library, "clearenv");
	wrong |= get == getenv; // the executable's own calls stay libc's
	wrong |= IS("BEFORE", "libc");
	for (int i = 0; i < 100; i++) { // libc sets, the library sets, each unsets what the other set
		char name[16], other[16];
		snprintf(name, sizeof name, "A%d", i);
		snprintf(other, sizeof other, "B%d", i);
		wrong |= setenv(name, "libc", 1) || set(other, "ours", 1);
		wrong |= IS(name, "libc") | IS(other, "ours");
		if (i % 3 == 0)
			wrong |= unset(name) || unsetenv(other) || IS(name, NULL) || IS(other, NULL);
	}
	const char *kept = get("B1");
	// Not unloaded (DF_1_NODELETE): strings and code stay.
	for (int i = 0; i < 3; i++)
		dlclose(library);
	void *again = dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD);
	wrong |= !again;
	wrong |= strcmp(kept, "ours") || set("AFTER", "close", 1) || IS("AFTER", "close") || IS("B1", "ours");
	wrong |= clear() || IS("BEFORE", NULL) || clearenv() || setenv("LAST", "1", 1) || IS("LAST", "1");
	printf("late: %s\n", wrong ? "wrong" : "fine");
	return wrong;
}
