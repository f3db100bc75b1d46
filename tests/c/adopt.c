/* Lists that the program assigns to environ: read-only, on a stack, freed later, NULL, with duplicates, edited directly. */
#include "check.h"
#include <sys/mman.h>

/* An array and strings that nobody can write to: a store through them ends the program. */
static void a_read_only_list_is_not_written(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    static char *const constant[] = {"A=1", "B=2", "C=3", NULL};
    memcpy(memory, constant, sizeof constant);
    CHECK(mprotect(memory, page, PROT_READ) == 0);
    char **lists[] = {(char **)memory, (char **)constant};
    for (int i = 0; i < 2; i++) {
        for (int change = 0; change < 5; change++) {
            environ = lists[i];
            CHECK(has("A", "1") && has("B", "2") && has("C", "3") && environ == lists[i]);
            switch (change) {
            case 0: CHECK(setenv("A", "4", 1) == 0 && has("A", "4") && has("B", "2")); break;
            case 1: CHECK(setenv("D", "4", 1) == 0 && has("D", "4") && has("A", "1")); break;
            case 2: CHECK(unsetenv("B") == 0 && has("B", NULL) && has("C", "3")); break;
            case 3: CHECK(putenv("C=5") == 0 && has("C", "5") && has("A", "1")); break;
            case 4: CHECK(clearenv() == 0 && has("A", NULL)); break;
            }
            CHECK(environ != lists[i] && memcmp(lists[i], constant, sizeof constant) == 0);
        }
    }
}

static __attribute__((noinline)) void from_a_stack(int i) {
    char *list[] = {"ON=stack", "OTHER=1", NULL};
    environ = list;
    CHECK(has("ON", "stack"));
    /* In place, as libc does it, until something is added. */
    switch (i) {
    case 0: break;
    case 1: CHECK(unsetenv("OTHER") == 0 && list[0] && !list[1]); break;
    case 2: CHECK(setenv("OTHER", "2", 1) == 0 && strcmp(list[1], "OTHER=2") == 0 && !list[2]); break;
    }
    CHECK((void *)environ == (void *)list);
    CHECK(setenv("ADDED", "1", 1) == 0 && (void *)environ != (void *)list);
}

static __attribute__((noinline)) void overwrite_the_stack(void) {
    volatile char garbage[4096];
    for (size_t i = 0; i < sizeof garbage; i++)
        garbage[i] = 0x5a;
}

static void a_list_on_a_stack_is_copied(void) {
    for (int i = 0; i < 3; i++) {
        from_a_stack(i);
        overwrite_the_stack();
        CHECK(has("ON", "stack") && has("NOT", NULL) && count("ON=") == 1);
        CHECK(has("OTHER", i == 0 ? "1" : i == 1 ? NULL : "2"));
    }
}

/* Freed memory that is unmapped: the next look at it ends the program. Freed memory with garbage in it: the same. */
static void a_list_freed_after_the_first_change_is_not_looked_at_again(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int round = 0; round < 50; round++) {
        char **list = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK((void *)list != MAP_FAILED);
        list[0] = "FREED=later";
        list[1] = "KEPT=1";
        environ = list;
        CHECK(setenv("NEW", "1", 1) == 0);
        if (round & 1)
            CHECK(munmap(list, page) == 0);
        else
            memset(list, 0x5a, page);
        char name[16];
        for (int i = 0; i < 300; i++) {
            snprintf(name, sizeof name, "N%d", i);
            CHECK(setenv(name, "1", 1) == 0 && has("FREED", "later"));
        }
        CHECK(unsetenv("FREED") == 0 && has("FREED", NULL) && has("KEPT", "1") && count("N") == 301);
    }
}

static void null_is_an_empty_list(void) {
    for (int change = 0; change < 4; change++) {
        environ = NULL;
        CHECK(has("A", NULL) && !secure_getenv("A"));
        switch (change) {
        case 0: CHECK(setenv("A", "1", 1) == 0 && has("A", "1") && environ && !environ[1]); break;
        case 1: CHECK(unsetenv("A") == 0 && has("A", NULL)); break;
        case 2: CHECK(putenv("A=2") == 0 && has("A", "2") && environ && !environ[1]); break;
        case 3: CHECK(clearenv() == 0 && environ && !*environ); break;
        }
    }
}

/* As libc copies it: the first of each name counts, and what changes the name drops the others. */
static void adoption_keeps_duplicates(void) {
    char *list[] = {"D=1", "X=0", "D=2", "Y=0", "D=3", "Y=1", "odd", "odd too", NULL};
    environ = list;
    CHECK(has("D", "1"));
    CHECK(setenv("NEW", "1", 1) == 0);
    CHECK(count("D=") == 3 && count("X=") == 1 && count("Y=") == 2 && count("odd") == 2);
    CHECK(has("D", "1") && has("X", "0") && has("Y", "0") && has("NEW", "1"));
    CHECK(unsetenv("X") == 0 && has("D", "1"));
    CHECK(unsetenv("D") == 0 && has("D", NULL) && count("D=") == 0);
    CHECK(setenv("Y", "2", 1) == 0 && has("Y", "2") && count("Y=") == 1 && count("odd") == 2);
}

static void direct_stores_are_honoured(void) {
    char name[16];
    CHECK(clearenv() == 0);
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "N%d", i);
        CHECK(setenv(name, "set", 1) == 0);
    }
    /* Replace. */
    environ[3] = "DIRECT=1";
    CHECK(has("DIRECT", "1") && count("N") == 19);
    CHECK(setenv("DIRECT", "2", 1) == 0 && has("DIRECT", "2") && count("DIRECT=") == 1);
    /* A second one of a name, in front of the first: it counts, and one call removes both. */
    environ[0] = "DIRECT=3";
    CHECK(has("DIRECT", "3") && count("DIRECT=") == 2);
    CHECK(unsetenv("DIRECT") == 0 && has("DIRECT", NULL) && count("N") == 18);
    /* Cut. */
    environ[5] = NULL;
    CHECK(count("") == 5);
    CHECK(setenv("AFTER", "1", 1) == 0 && count("") == 6 && has("AFTER", "1"));
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "M%d", i);
        CHECK(setenv(name, "set", 1) == 0 && count("") == (size_t)i + 7);
    }
    *environ = NULL;
    CHECK(has("AFTER", NULL) && has("M1", NULL));
    CHECK(unsetenv("M1") == 0 && count("") == 0);
    CHECK(setenv("AFTER", "2", 1) == 0 && count("") == 1 && has("AFTER", "2"));
    /* Compact in place, as sanitisers of environments do. */
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof name, i & 1 ? "BAD%d" : "N%d", i);
        CHECK(setenv(name, "1", 1) == 0);
    }
    char **to = environ;
    for (char **from = environ; *from; from++)
        if (strncmp(*from, "BAD", 3) != 0)
            *to++ = *from;
    *to = NULL;
    CHECK(count("BAD") == 0 && count("") == 6 && has("BAD1", NULL) && has("N8", "1"));
    CHECK(setenv("BAD1", "again", 1) == 0 && count("BAD") == 1 && count("") == 7);
    CHECK(unsetenv("N0") == 0 && count("") == 6 && count("BAD") == 1);
    /* Drop the first. */
    CHECK(clearenv() == 0 && setenv("A", "1", 1) == 0 && setenv("B", "1", 1) == 0);
    environ++;
    CHECK(count("") == 1);
    CHECK(setenv("C", "1", 1) == 0 && count("") == 2);
    /* Strings edited in place: the same text again must come out right. */
    CHECK(setenv("PATHS", "a:b:c", 1) == 0);
    CHECK(strtok(getenv("PATHS"), ":") && has("PATHS", "a"));
    CHECK(setenv("PATHS", "a:b:c", 1) == 0 && has("PATHS", "a:b:c"));
    CHECK(setenv("PATHS", "x", 1) == 0 && setenv("PATHS", "a:b:c", 1) == 0 && has("PATHS", "a:b:c"));
}

static void save_and_restore(void) {
    char *own[] = {"OWN=1", NULL};
    CHECK(clearenv() == 0 && setenv("SAVED", "1", 1) == 0);
    char **saved = environ;
    environ = own;
    CHECK(has("SAVED", NULL) && has("OWN", "1"));
    environ = saved;
    CHECK(has("SAVED", "1") && has("OWN", NULL));
    CHECK(setenv("MORE", "1", 1) == 0 && has("SAVED", "1") && has("MORE", "1") && count("") == 2);
    environ = own;
    CHECK(setenv("OWN", "2", 1) == 0 && count("") == 1 && has("OWN", "2"));
    CHECK(environ == own && strcmp(own[0], "OWN=2") == 0);
    free(own[0]); /* it is the program's now */
    own[0] = "OWN=3";
    CHECK(has("OWN", "3") && unsetenv("OWN") == 0 && environ == own && !own[0]);
    environ = saved;
    CHECK(has("SAVED", "1") && has("MORE", "1") && count("") == 2);
}

int main(void) {
    must_be_preloaded();
    a_read_only_list_is_not_written();
    a_list_on_a_stack_is_copied();
    a_list_freed_after_the_first_change_is_not_looked_at_again();
    null_is_an_empty_list();
    adoption_keeps_duplicates();
    direct_stores_are_honoured();
    save_and_restore();
    puts("adopted");
    return 0;
}
