/* Programs that walk environ themselves while it changes: by index, by pointer, with a saved head, and with strings that they
 * free when libc's functions would let them. Each is right with a libc that moves the entries down and leaves the head alone. */
#include "check.h"
#include <pthread.h>

static void fill(int n) {
    CHECK(clearenv() == 0);
    for (int i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "N%d", i);
        CHECK(setenv(name, "value", 1) == 0);
    }
}

static void name_of(const char *entry, char *name, size_t size) {
    const char *end = strchr(entry, '=');
    CHECK(end && (size_t)(end - entry) < size);
    memcpy(name, entry, (size_t)(end - entry));
    name[end - entry] = 0;
}

/* environ is loaded anew for each index, and the head moves up under it: past the end there is NULL. */
static void an_index_meets_the_end(void) {
    for (int n = 1; n < 300; n += 7) {
        fill(n);
        char name[32];
        for (int i = 0; environ[i]; i++) {
            name_of(environ[i], name, sizeof name);
            CHECK(unsetenv(name) == 0);
        }
        fill(n);
        CHECK(environ[n - 1] && clearenv() == 0);
        for (int i = 0; i < n; i++)
            CHECK(environ[i] == NULL);
    }
}

/* A pointer stays while what it points to is removed: it meets another entry, not the same for ever. */
static void a_pointer_meets_another_entry(void) {
    for (int n = 1; n < 100; n += 3) {
        fill(n);
        char name[32];
        int steps = 0;
        for (char **p = environ; *p;) {
            CHECK(++steps < 1000);
            name_of(*p, name, sizeof name);
            if (atoi(name + 1) % 3 != 1)
                CHECK(unsetenv(name) == 0 && has(name, NULL));
            else
                p++;
        }
        for (int i = 0; i < n; i++) {
            snprintf(name, sizeof name, "N%d", i);
            CHECK(i % 3 != 1 || has(name, "value"));
        }
    }
}

/* A head that was saved before entries were removed or replaced does not bring them back. */
static void a_saved_head_brings_nothing_back(void) {
    fill(5);
    CHECK(setenv("A", "1", 1) == 0 && setenv("B", "1", 1) == 0);
    char **saved = environ;
    CHECK(unsetenv("N2") == 0 && setenv("B", "2", 1) == 0 && unsetenv("N3") == 0 && setenv("A", "2", 1) == 0);
    CHECK(unsetenv("B") == 0);
    environ = saved;
    CHECK(has("A", "2") && has("B", NULL) && has("N2", NULL) && has("N3", NULL) && has("N1", "value"));
    CHECK(setenv("C", "1", 1) == 0 && has("A", "2") && has("B", NULL));
}

/* What left the environment is its owner's again: freed and overwritten, it is not looked at. */
static char *gone(char *string) {
    memset(string, '#', strlen(string));
    free(string);
    return NULL;
}

static void a_freed_string_is_not_looked_at(void) {
    for (int i = 0; i < 100; i++) {
        fill(3);
        char *first = strdup("FIRST=1"), *second = strdup("SECOND=1");
        CHECK(putenv(second) == 0 && putenv(first) == 0);
        char **saved = environ;
        CHECK(unsetenv("SECOND") == 0 && unsetenv("FIRST") == 0);
        gone(first), gone(second);
        environ = saved;
        CHECK(has("FIRST", NULL) && has("SECOND", NULL) && has("N1", "value"));

        /* The program's own list, and what a change put into ours from there. */
        char *own[] = {strdup("OWN=1"), strdup("OTHER=1"), NULL};
        environ = own;
        CHECK(setenv("Y", "1", 1) == 0 && has("OWN", "1"));
        environ = saved;
        gone(own[0]), gone(own[1]);
        CHECK(setenv("Z", "1", 1) == 0 && has("Z", "1") && has("OWN", NULL));
    }
}

static atomic_int stop;

static void *change(void *unused) {
    (void)unused;
    for (int round = 0; !stop; round++) {
        char name[32];
        for (int i = 0; i < 60; i++) {
            snprintf(name, sizeof name, "M%d", i);
            CHECK(round % 2 ? unsetenv(name) == 0 : setenv(name, "value", 1) == 0);
        }
    }
    return NULL;
}

/* The same by index beside a writer. */
static void an_index_beside_a_writer_stays_inside(void) {
    fill(20);
    pthread_t writer;
    CHECK(pthread_create(&writer, NULL, change, NULL) == 0);
    char **volatile *const head = (char **volatile *)&environ;
    for (int round = 0; round < 200000; round++)
        for (int i = 0; i < 200; i++) {
            char *entry = (*head)[i];
            if (!entry)
                break;
            CHECK(strchr(entry, '='));
        }
    stop = 1;
    CHECK(pthread_join(writer, NULL) == 0);
}

int main(void) {
    must_be_preloaded();
    an_index_meets_the_end();
    a_pointer_meets_another_entry();
    a_saved_head_brings_nothing_back();
    a_freed_string_is_not_looked_at();
    an_index_beside_a_writer_stays_inside();
    puts("walked");
    return 0;
}
