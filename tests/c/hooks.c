/* A program linked with libhooks.so: the environment before main, in main, at exit and after. */
#include "check.h"

extern int hooks_ran;

__attribute__((constructor)) static void before_main(void) {
    CHECK(has("BEFORE_MAIN", "set") && setenv("BEFORE_MAIN_TOO", "set", 1) == 0);
}

static void at_exit(void) {
    CHECK(has("IN_MAIN", "set") && setenv("AT_EXIT", "set", 1) == 0);
}

int main(void) {
    must_be_preloaded();
    CHECK(hooks_ran && atexit(at_exit) == 0);
    CHECK(has("BEFORE_MAIN", "set") && has("BEFORE_MAIN_TOO", "set") && has("PUT_BEFORE_MAIN", "put"));
    CHECK(count("BEFORE_MAIN=") == 1 && has("INHERITED", "yes") && setenv("IN_MAIN", "set", 1) == 0);
    return 0;
}
