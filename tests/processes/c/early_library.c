// A library whose IFUNC resolver calls getenv: the dynamic linker runs it while it relocates this library, which is before it
// relocates the libraries that were loaded earlier, the preloaded ones among them. At program start libc's own getenv finds no
// environment yet, so the resolver sees NULL.
#include <stdlib.h>

static int without(void)
{
	return 1;
}

static int with(void)
{
	return 2;
}

static int (*resolve(void))(void)
{
	return getenv("EARLY") ? with : without;
}

__attribute__((ifunc("resolve"), visibility("hidden"))) int pick(void);

static int (*const picked)(void) = pick; // resolved when this library is relocated

int early(void)
{
	return picked() + 10 * pick();
}
