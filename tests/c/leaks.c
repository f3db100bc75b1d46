/* Linked with LeakSanitizer, which searches what malloc gave and static variables for pointers: strings that only the environment has
 * are no leaks. */
#include "check.h"

static void put(const char *string) { CHECK(putenv(strdup(string)) == 0); }

int main(void) {
    must_be_preloaded();
    put("OWNED=1");
    for (int i = 0; i < 200; i++) {
        char name[16];
        snprintf(name, sizeof name, "N%d", i);
        CHECK(setenv(name, "1", 1) == 0);
    }
    put("OWNED_TOO=1");
    CHECK(has("OWNED", "1") && has("OWNED_TOO", "1"));
    return 0; /* and then it looks for leaks */
}
