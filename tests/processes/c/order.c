// The order of the environment in a process that never had a second thread: which places additions, replacements and removals
// take, on every kind of list a program can have.
//
//   env -i A=1 B=2 C=3 order
//
// Prints the list after each step; `run` compares that without and with the library. After the idea of glibc's own test of
// changes of `environ`; its parts that free `environ` are not here: that is a limit (limits.c).
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

static void show(const char *what, char **at)
{
	printf("%s:", what);
	// An entry that is there several times counts once: a kept pointer to the kernel's list may meet one again, below a head that moved.
	for (; at && *at; at++) {
		int again = 0;
		for (char **later = at + 1; *later; later++)
			again |= *later == *at;
		if (!again && strncmp(*at, "LD_PRELOAD=", 11))
			printf(" %s", *at);
	}
	printf("\n");
}

// One change, and the list after it.
static void set(const char *name, const char *value)
{
	char what[128];
	snprintf(what, sizeof what, "  set %s", name);
	if (setenv(name, value, 1))
		perror("setenv");
	show(what, environ);
}

static void put(char *string)
{
	char what[128];
	snprintf(what, sizeof what, "  put %s", string);
	if (putenv(string))
		perror("putenv");
	show(what, environ);
}

static void unset(const char *name)
{
	char what[128];
	snprintf(what, sizeof what, "  unset %s", name);
	if (unsetenv(name))
		perror("unsetenv");
	show(what, environ);
}

// The same changes on every kind of list: at each end, in the middle, of a variable there and not there.
static void changes(void)
{
	static char first[] = "E=put", second[] = "B=put again";
	show("  at first", environ);
	set("B", "two");
	set("D", "4");
	unset("A");
	set("A", "again");
	put(first);
	unset("C");
	put(second);
	for (int i = 0; environ[i]; i++)
		if (environ[i] == first || environ[i] == second)
			printf("  its owner's: %s\n", environ[i]);
	unset("NONE");
	unset("A");
	set("C", "");
	unset("C"); // the last
	put("D");
	set("B", "again");
	set("G", "7");
}

int main(void)
{
	printf("the kernel's list\n");
	char **kernel = environ;
	set("B", "in place");
	unset("NONE");
	unset("C");
	unset("A");
	show("what the kernel gave", kernel);
	set("A", "1");
	set("C", "3");
	show("and after additions", kernel);
	changes();

	printf("none\n");
	environ = NULL;
	set("A", "1");
	set("B", "2");
	environ = NULL;
	unset("A");
	put("C=3");

	printf("an empty list of the program's own\n");
	static char *none[] = {NULL};
	environ = none;
	changes();
	show("the program's array", none);

	printf("a list of the program's own\n");
	static char *own[] = {"C=own", "B=own", "A=own", "X=own", NULL};
	environ = own;
	set("B", "in place");
	unset("C");
	unset("NONE");
	unset("X");
	show("the program's array", own);
	set("D", "4");
	show("and after an addition", own);
	changes();

	printf("two entries of one name\n");
	static char *twice[] = {"A=1", "B=2", "A=3", "C=4", NULL};
	environ = twice;
	unset("A");
	show("the program's array", twice);
	set("A", "5");

	printf("after clearenv\n");
	clearenv();
	changes();

	printf("all removed, the first of them each time\n");
	for (int steps = 0; *environ && steps < 10; steps++) {
		char name[64];
		snprintf(name, sizeof name, "%.*s", (int)strcspn(*environ, "="), *environ);
		unset(name);
	}
	changes();

	printf("cut by the program\n");
	setenv("H", "8", 1);
	for (int i = 0; environ[i]; i++)
		if (!strncmp(environ[i], "D=", 2) || !strncmp(environ[i], "G=", 2))
			environ[i] = NULL;
	show("  cut", environ);
	set("I", "9");
	set("H", "new");

	printf("many\n");
	clearenv();
	for (int i = 0; i < 2000; i++) {
		char name[32], value[32];
		snprintf(name, sizeof name, "N%d", i);
		snprintf(value, sizeof value, "%d", i);
		setenv(name, value, 1);
		if (i % 3 == 2) {
			snprintf(name, sizeof name, "N%d", i / 2);
			unsetenv(name);
		}
	}
	show("all", environ);
	return 0;
}
