/* Readers, walkers and writers of the environment at once: for valgrind, under the preload library (see .ci/sanitizers). */
#define _GNU_SOURCE
#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

extern char **environ;
static _Atomic int done;
static int rounds = 3000;

static void *reads(void *unused) {
    while (!done) {
        assert(!strcmp(getenv("BYSTANDER"), "undisturbed"));
        char *value = getenv("VALUE");
        assert(!value || !strncmp(value, "value", 5));
    }
    return unused;
}

static void *walks(void *unused) {
    while (!done) {
        int found = 0;
        for (char **at = __atomic_load_n(&environ, __ATOMIC_ACQUIRE), *entry; (entry = __atomic_load_n(at, __ATOMIC_ACQUIRE)); at++)
            found += !strcmp(entry, "BYSTANDER=undisturbed");
        assert(found);
        tzset(); /* libc's own getenv */
    }
    return unused;
}

static void *writes(void *number) {
    char name[32], value[32];
    for (int i = 0; i < rounds; i++) {
        snprintf(value, sizeof value, "value%d", i % 50);
        assert(!setenv("VALUE", value, 1));
        snprintf(name, sizeof name, "CHURN%ld_%d", (long)number, i % 100);
        assert(!(i / 100 % 2 ? unsetenv(name) : setenv(name, value, 1)));
        if (i % 7 == 0)
            assert(!unsetenv("VALUE"));
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc > 1)
        rounds = atoi(argv[1]);
    pthread_t readers[2], writers[2];
    assert(!setenv("BYSTANDER", "undisturbed", 1));
    pthread_create(&readers[0], NULL, reads, NULL);
    pthread_create(&readers[1], NULL, walks, NULL);
    for (long i = 0; i < 2; i++)
        pthread_create(&writers[i], NULL, writes, (void *)i);
    for (int i = 0; i < 2; i++)
        pthread_join(writers[i], NULL);
    done = 1;
    for (int i = 0; i < 2; i++)
        pthread_join(readers[i], NULL);
    assert(!clearenv() && !getenv("BYSTANDER"));
    return 0;
}
