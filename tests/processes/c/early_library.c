// A library whose IFUNC resolver calls getenv and setenv: the dynamic linker runs it while it relocates this library, which is before it
// relocates the libraries that were loaded earlier, the preloaded ones among them. At program start libc's own getenv finds no
// environment yet, so the resolver sees NULL. What it sets there is lost: libc gets the kernel's list later.
#define _GNU_SOURCE
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
	int (*found)(void) = getenv("EARLY") || secure_getenv("EARLY") ? with : without;
	setenv("EARLY", "resolver", 1);
	unsetenv("EARLY_UNSET");
	putenv("EARLY_PUT=1");
	return found;
}

__attribute__((ifunc("resolve"), visibility("hidden"))) int pick(void);

static int (*const picked)(void) = pick; // resolved when this library is relocated

int early(void)
{
	return picked() + 10 * pick();
}
