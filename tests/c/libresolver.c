/* A library that looks at the environment while it is being relocated: before the preload library is. */
#include <stdlib.h>

static int here(void) { return 1; }
static int gone(void) { return 2; }

static int (*choose(void))(void) {
    return getenv("INHERITED") ? here : gone;
}

static int chosen(void) __attribute__((ifunc("choose")));

int resolved(void) {
    return chosen();
}
