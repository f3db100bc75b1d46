/* For musl on x86-64, which does not tell whether there are threads, but shows them: one that never calls the library counts, too. And this
 * program defines the variable by which glibc tells, always 1, as some do for libcs that have none: that is nobody's word. */
#include "check.h"
#include <pthread.h>

char __libc_single_threaded = 1; /* found by the library: the program is linked with -rdynamic */

static atomic_int here, leave;

static void *keeps_quiet(void *unused) {
    atomic_store(&here, 1);
    while (!atomic_load(&leave))
        usleep(1000);
    return unused;
}

/* An addition goes over the terminator of the list, at SLOT, or it does not. */
static int goes_over(char **slot, const char *name) {
    CHECK(!*slot && setenv(name, "1", 1) == 0 && has(name, "1"));
    return *slot != NULL;
}

int main(void) {
    must_be_preloaded();
    /* In an array of ours, with room. */
    CHECK(setenv("FIRST", "1", 1) == 0);
    CHECK(goes_over(environ + count(""), "ALONE"));
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, keeps_quiet, NULL) == 0);
    while (!atomic_load(&here))
        usleep(100);
    CHECK(!goes_over(environ + count(""), "IN_COMPANY"));
    atomic_store(&leave, 1);
    CHECK(pthread_join(thread, NULL) == 0 && has("FIRST", "1") && has("ALONE", "1"));
    puts("in company");
    return 0;
}
