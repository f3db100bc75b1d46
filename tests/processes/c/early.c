// Prints what the IFUNC resolver of early_library.c found, and what a call in main finds.
#include <stdio.h>
#include <stdlib.h>

int early(void);

int main(void)
{
	const char *now = getenv("EARLY");
	printf("resolver %d, main %s %s\n", early(), now ? now : "(null)", getenv("EARLY_PUT") ? "put" : "");
	return 0;
}
