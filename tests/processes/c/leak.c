// Strings from malloc that only the environment still points to are not leaked: putenv(strdup()), as many programs do it.
//
//   leak COUNT [real]
//
// COUNT variables are put; with "real", one block is leaked in earnest, so that a checker that finds nothing is found out.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 3;
	for (int i = 0; i < count; i++) {
		char text[64];
		snprintf(text, sizeof text, "PUT_%d=from malloc", i);
		putenv(strdup(text));
		snprintf(text, sizeof text, "SET_%d", i);
		setenv(text, "value", 1);
	}
	if (argc > 2) {
		char *volatile lost = malloc(77);
		lost[0] = 'x';
		lost = NULL;
	}
	volatile char over[4096]; // nothing of the above is left on the stack
	memset((char *)over, 0, sizeof over);
	return 0;
}
