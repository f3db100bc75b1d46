/* A shared library that uses the environment before main and after it. Its constructor runs before the preload library's
 * constructors would, if that had any. */
#include "check.h"

int hooks_ran;

__attribute__((constructor)) static void before_main(void) {
    CHECK(has("INHERITED", "yes") && has("BEFORE_MAIN", NULL));
    CHECK(setenv("BEFORE_MAIN", "set", 1) == 0 && has("BEFORE_MAIN", "set"));
    CHECK(setenv("REMOVED", "set", 1) == 0 && unsetenv("REMOVED") == 0 && has("REMOVED", NULL));
    CHECK(putenv("PUT_BEFORE_MAIN=put") == 0 && has("PUT_BEFORE_MAIN", "put") && has("INHERITED", "yes"));
    hooks_ran = 1;
}

__attribute__((destructor)) static void after_main(void) {
    CHECK(has("BEFORE_MAIN", "set") && has("IN_MAIN", "set") && has("AT_EXIT", "set"));
    CHECK(setenv("AFTER_MAIN", "set", 1) == 0 && has("AFTER_MAIN", "set") && unsetenv("IN_MAIN") == 0);
    CHECK(clearenv() == 0 && has("AFTER_MAIN", NULL));
    if (write(1, "after main\n", 11) != 11)
        _exit(8);
}
