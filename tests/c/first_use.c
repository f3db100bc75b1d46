/* The process's first change of its environment ever, by 16 threads at once. */
#include "check.h"
#include <pthread.h>

enum { THREADS = 16 };

static atomic_int ready;

static void *first_change(void *number) {
    char name[16], value[16];
    snprintf(name, sizeof name, "FIRST_%d", (int)(uintptr_t)number);
    snprintf(value, sizeof value, "%d", (int)(uintptr_t)number);
    atomic_fetch_add(&ready, 1);
    while (atomic_load(&ready) < THREADS)
        ; /* all at once: not even a system call in between */
    CHECK(setenv(name, value, 1) == 0);
    CHECK(has(name, value) && has("INHERITED", "yes"));
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    must_be_preloaded();
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, first_change, (void *)(uintptr_t)i) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < THREADS; i++) {
        char name[16], value[16];
        snprintf(name, sizeof name, "FIRST_%d", i);
        snprintf(value, sizeof value, "%d", i);
        CHECK(has(name, value));
    }
    CHECK(count("FIRST_") == THREADS && has("INHERITED", "yes"));
    return 0;
}
