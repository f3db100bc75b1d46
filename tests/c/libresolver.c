/* A library that uses the environment while it is being relocated: before the preload library is. */
#define _GNU_SOURCE
#include <stdlib.h>

static int here(void) { return 1; }
static int gone(void) { return 2; }

static int (*choose(void))(void) {
    int found = getenv("INHERITED") || secure_getenv("INHERITED");
    setenv("RESOLVER", "1", 1);
    static char string[] = "STRING=1";
    putenv(string);
    clearenv();
    return found ? here : gone;
}

static int chosen(void) __attribute__((ifunc("choose")));

int resolved(void) {
    return chosen();
}
