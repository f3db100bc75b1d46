/* The extension of story.py. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

static atomic_int going, begun;
static pthread_t thread;

static void *poll_settings(void *unused) {
    while (atomic_load(&going)) {
        getenv("EXTENSION_VERBOSE"); /* reader */
        atomic_store(&begun, 1);
    }
    return unused;
}

void start(void) {
    atomic_store(&going, 1);
    pthread_create(&thread, NULL, poll_settings, NULL);
    while (!atomic_load(&begun))
        ;
}

void stop(void) {
    atomic_store(&going, 0);
    pthread_join(thread, NULL);
}
