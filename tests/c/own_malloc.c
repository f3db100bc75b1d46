/* A program whose own malloc looks at the environment and changes it, as tracing allocators do. */
#include "check.h"
#include <pthread.h>

static _Alignas(64) char arena[64 << 20];
static _Atomic size_t used;
static _Thread_local int inside;
static _Atomic unsigned calls;

static void look_and_change(const char *what) {
    if (inside)
        return;
    inside = 1;
    unsigned n = atomic_fetch_add(&calls, 1);
    char value[2] = {(char)('0' + n % 10), 0};
    if (getenv("MALLOC_BYSTANDER") && setenv("MALLOC_LAST", what, 1) == 0 && setenv("MALLOC_CALLS", value, 1) == 0 &&
        (n % 5 || unsetenv("MALLOC_CALLS") == 0))
        inside = 0;
    else
        _exit(9);
}

void *malloc(size_t size) {
    look_and_change("malloc");
    size_t whole = (size + 16 + 15) & ~(size_t)15;
    size_t at = atomic_fetch_add(&used, whole);
    if (at + whole > sizeof arena) {
        errno = ENOMEM;
        return NULL;
    }
    *(size_t *)(arena + at) = size;
    return arena + at + 16;
}

void *calloc(size_t count, size_t size) {
    look_and_change("calloc");
    void *memory = malloc(count * size); /* zero: never used before */
    return memory;
}

void *realloc(void *old, size_t size) {
    look_and_change("realloc");
    void *memory = malloc(size);
    if (memory && old) {
        size_t before = *(size_t *)((char *)old - 16);
        memcpy(memory, old, before < size ? before : size);
    }
    return memory;
}

void free(void *memory) {
    (void)memory;
    look_and_change("free");
}

static void *allocate_and_change(void *number) {
    char name[16], value[16];
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof name, "T%d_%d", (int)(uintptr_t)number, i % 100);
        snprintf(value, sizeof value, "%d", i % 7);
        char *copy = strdup(value);
        CHECK(copy && setenv(name, copy, 1) == 0 && has(name, value));
        free(copy);
        if (i % 3 == 0)
            CHECK(unsetenv(name) == 0);
    }
    return NULL;
}

int main(void) {
    must_be_preloaded();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, allocate_and_change, (void *)(uintptr_t)i) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(has("MALLOC_BYSTANDER", "here") && getenv("MALLOC_LAST") && calls > 1000);
    printf("%u calls\n", (unsigned)calls);
    return 0;
}
