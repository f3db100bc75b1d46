// What a Perl extension does that sets a variable from C. The arguments are the interpreter and the code; nothing is returned.
#include <stdlib.h>

void c_setenv(void *interpreter, void *code)
{
	(void)interpreter;
	(void)code;
	setenv("FROM_C", "1", 1);
}
