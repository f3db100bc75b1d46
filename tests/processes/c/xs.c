// What Perl extensions do that change the environment from C. The arguments are the interpreter and the code; nothing is
// returned.
#include <stdlib.h>

void c_setenv(void *interpreter, void *code)
{
	(void)interpreter;
	(void)code;
	setenv("FROM_C", "1", 1);
}

void c_replace(void *interpreter, void *code)
{
	(void)interpreter;
	(void)code;
	setenv("STABLE", "replaced", 1);
}

void c_unsetenv(void *interpreter, void *code)
{
	(void)interpreter;
	(void)code;
	unsetenv("STABLE");
}
