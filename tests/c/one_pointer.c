/* Loops that walk the list with one pointer, or one head, loaded once, and unset what they do not like. They end, see every entry, and
 * leave what they meant to leave: on the kernel's list as the first change, on lists of the library's and of the program's. */
#include "scenes.h"

static int is_bad(const char *entry) { return strncmp(entry, "BAD", 3) == 0; }
static int is_no_keeper(const char *entry) { return strncmp(entry, "KEEP", 4) != 0 && !brings_library(entry); }
static int is_anything(const char *entry) { return entry != NULL; }

/* The loop: the pointer stays while what it points to goes. Returns its steps. */
static size_t sweep(int (*bad)(const char *)) {
    size_t steps = 0, most = 4 * length_of(environ) + 16;
    char name[256];
    for (char **p = environ; *p;) {
        if (++steps > most)
            FAIL("the loop does not end: at %s", *p);
        if (bad(*p) && name_of(*p, name, sizeof name))
            CHECK(unsetenv(name) == 0 && has(name, NULL));
        else
            p++;
    }
    return steps;
}

static void must_be_left(const char *wanted) {
    LIST(wanted);
    list_is_sound();
}

/* The three ways to sweep a list that looks like this: BAD, KEEP and odd entries mixed. */
#define MIXED "BAD1=1 KEEP1=1 BAD2=2 BAD3=3 KEEP2=2 odd @ KEEP3=3 BAD4=4"

static void bad_ones_as_the_first_change(void) {
    sweep(is_bad);
    must_be_left("KEEP1=1 KEEP2=2 odd @ KEEP3=3");
    CHECK(setenv("NEW", "1", 1) == 0);
    must_be_left("KEEP1=1 KEEP2=2 odd @ KEEP3=3 NEW=1");
}

static void all_but_some_as_the_first_change(void) {
    sweep(is_no_keeper);
    must_be_left("KEEP1=1 KEEP2=2 odd @ KEEP3=3");
}

static void all_as_the_first_change(void) {
    sweep(is_anything);
    must_be_left("odd");
    CHECK(setenv("NEW", "1", 1) == 0);
    must_be_left("odd NEW=1");
}

/* Cuts off one entry after the other at the head; the idiom waits for the null. */
static void the_first_until_there_is_none(void) {
    char name[256];
    int steps = 0;
    while (*environ) {
        CHECK(++steps < 100 && name_of(*environ, name, sizeof name));
        CHECK(unsetenv(name) == 0);
    }
    CHECK(steps == 5);
    LIST("");
}

static void one_place_until_it_is_empty(void) {
    char name[256], **p = environ;
    int steps = 0;
    while (*p) {
        CHECK(++steps < 100 && name_of(*p, name, sizeof name));
        CHECK(unsetenv(name) == 0);
    }
    CHECK(steps == 5);
    LIST("");
}

/* The pointer moves on in any case: entries may be left out, but the loop ends and nothing good goes. */
static void a_pointer_that_always_moves_on(void) {
    char name[256];
    size_t steps = 0;
    for (char **p = environ; *p; p++) {
        CHECK(++steps < 100);
        if (is_bad(*p) && name_of(*p, name, sizeof name))
            CHECK(unsetenv(name) == 0);
    }
    CHECK(has("KEEP1", "1") && has("KEEP2", "2") && has("KEEP3", "3"));
    list_is_sound();
}

/* A head loaded once, an index that stays; and a head loaded for each look. */
static void an_index_into_a_head_loaded_once(void) {
    char name[256], **list = environ;
    size_t steps = 0;
    for (size_t i = 0; list[i];) {
        CHECK(++steps < 100);
        if (is_bad(list[i]) && name_of(list[i], name, sizeof name))
            CHECK(unsetenv(name) == 0);
        else
            i++;
    }
    must_be_left("KEEP1=1 KEEP2=2 odd @ KEEP3=3");
}

static void an_index_into_environ_itself(void) {
    char name[256];
    size_t steps = 0;
    for (size_t i = 0; environ[i];) {
        CHECK(++steps < 100);
        if (is_bad(environ[i]) && name_of(environ[i], name, sizeof name))
            CHECK(unsetenv(name) == 0);
        else
            i++;
    }
    must_be_left("KEEP1=1 KEEP2=2 odd @ KEEP3=3");
}

static void an_index_from_the_end(void) {
    char name[256];
    for (size_t i = length_of(environ); i-- > 0;)
        if (environ[i] && is_bad(environ[i]) && name_of(environ[i], name, sizeof name))
            CHECK(unsetenv(name) == 0);
    must_be_left("KEEP1=1 KEEP2=2 odd @ KEEP3=3");
}

static void after_an_addition(void) {
    CHECK(setenv("KEEP4", "4", 1) == 0 && setenv("BAD5", "5", 1) == 0 && setenv("KEEP5", "5", 1) == 0);
    sweep(is_bad);
    must_be_left("KEEP1=1 KEEP2=2 odd @ KEEP3=3 KEEP4=4 KEEP5=5");
    CHECK(setenv("BAD1", "1", 1) == 0 && setenv("BAD5", "5", 1) == 0);
    sweep(is_no_keeper);
    must_be_left("KEEP1=1 KEEP2=2 odd @ KEEP3=3 KEEP4=4 KEEP5=5");
}

static void after_a_replacement(void) {
    CHECK(setenv("KEEP1", "new", 1) == 0 && setenv("BAD2", "new", 1) == 0);
    sweep(is_bad);
    must_be_left("KEEP1=new KEEP2=2 odd @ KEEP3=3");
}

static void after_removals(void) {
    CHECK(unsetenv("BAD1") == 0 && unsetenv("KEEP2") == 0);
    sweep(is_bad);
    must_be_left("KEEP1=1 odd @ KEEP3=3");
}

static void with_strings_that_were_put(void) {
    CHECK(putenv(strdup("BAD0=0")) == 0 && putenv(strdup("KEEP4=4")) == 0 && putenv(strdup("BAD2=put")) == 0);
    sweep(is_bad);
    must_be_left("KEEP1=1 KEEP2=2 odd @ KEEP3=3 KEEP4=4");
}

static void with_putenv_of_a_name(void) {
    char name[256];
    size_t steps = 0;
    for (char **p = environ; *p;) {
        CHECK(++steps < 100);
        if (is_bad(*p) && name_of(*p, name, sizeof name))
            CHECK(putenv(name) == 0);
        else
            p++;
    }
    must_be_left("KEEP1=1 KEEP2=2 odd @ KEEP3=3");
}

static void after_clearenv(void) {
    CHECK(clearenv() == 0);
    for (int i = 0; i < 60; i++) {
        char name[16];
        snprintf(name, sizeof name, "%s%d", i % 3 ? "BAD" : "KEEP", i);
        CHECK(setenv(name, "1", 1) == 0);
    }
    sweep(is_bad);
    CHECK(length_of(environ) == 20 && count("BAD") == 0 && strcmp(environ[19], "KEEP57=1") == 0);
    list_is_sound();
}

static void on_a_list_of_the_programs_own(void) {
    char *own[] = {"BAD1=1", "KEEP1=1", "BAD2=2", "odd", "KEEP2=2", "BAD3=3", NULL};
    environ = own;
    sweep(is_bad);
    must_be_left("KEEP1=1 odd KEEP2=2");
    char *other[] = {"KEEP1=1", "KEEP2=2", "BAD3=3", NULL};
    environ = other;
    CHECK(setenv("BAD4", "4", 1) == 0);
    sweep(is_bad);
    must_be_left("KEEP1=1 KEEP2=2");
    char *all_bad[] = {"BAD1=1", "BAD2=2", NULL};
    environ = all_bad;
    sweep(is_bad);
    LIST("");
}

static void with_a_name_that_is_there_twice(void) {
    char *own[] = {"BAD1=1", "KEEP1=1", "BAD1=2", "BAD2=1", "BAD1=3", "KEEP2=2", "BAD1=4", NULL};
    environ = own;
    sweep(is_bad);
    must_be_left("KEEP1=1 KEEP2=2");
}

static void in_a_forked_child(void) {
    pid_t child = fork();
    if (child == 0) {
        sweep(is_bad);
        must_be_left("KEEP1=1 KEEP2=2 odd @ KEEP3=3");
        _exit(0);
    }
    must_succeed(child);
    CHECK(setenv("BAD9", "1", 1) == 0);
    child = fork();
    if (child == 0) {
        sweep(is_bad);
        must_be_left("KEEP1=1 KEEP2=2 odd @ KEEP3=3");
        _exit(0);
    }
    must_succeed(child);
    CHECK(has("BAD1", "1") && has("BAD9", "1"));
}

/* A restored head, in front of which removals left copies. */
static void after_a_restored_head(void) {
    CHECK(setenv("BAD9", "1", 1) == 0 && setenv("KEEP9", "1", 1) == 0);
    char **saved = environ;
    CHECK(unsetenv("BAD1") == 0 && unsetenv("KEEP2") == 0);
    environ = saved;
    sweep(is_bad);
    must_be_left("KEEP1=1 odd @ KEEP3=3 KEEP9=1");
}

static void large_lists(void) {
    for (int round = 0; round < 2; round++) {
        CHECK(clearenv() == 0);
        for (int i = 0; i < 3000; i++) {
            char name[16];
            snprintf(name, sizeof name, "%s%d", i % 7 ? "BAD" : "KEEP", i);
            CHECK(setenv(name, "1", 1) == 0);
        }
        sweep(round ? is_anything : is_bad);
        CHECK(length_of(environ) == (round ? 0u : 429u));
    }
}

static const struct scene scenes[] = {
    {"bad_ones_as_the_first_change", bad_ones_as_the_first_change, MIXED, EVERYWHERE},
    {"all_but_some_as_the_first_change", all_but_some_as_the_first_change, MIXED, EVERYWHERE},
    {"all_as_the_first_change", all_as_the_first_change, MIXED, EVERYWHERE},
    {"the_first_until_there_is_none", the_first_until_there_is_none, "A=1 B=2 @ C=3 D=4", EVERYWHERE},
    {"one_place_until_it_is_empty", one_place_until_it_is_empty, "A=1 B=2 @ C=3 D=4", EVERYWHERE},
    {"a_pointer_that_always_moves_on", a_pointer_that_always_moves_on, MIXED, EVERYWHERE},
    {"an_index_into_a_head_loaded_once", an_index_into_a_head_loaded_once, MIXED, EVERYWHERE},
    {"an_index_into_environ_itself", an_index_into_environ_itself, MIXED, EVERYWHERE},
    {"an_index_from_the_end", an_index_from_the_end, MIXED, EVERYWHERE},
    {"after_an_addition", after_an_addition, MIXED, EVERYWHERE},
    {"after_a_replacement", after_a_replacement, MIXED, EVERYWHERE},
    {"after_removals", after_removals, MIXED, EVERYWHERE},
    {"with_strings_that_were_put", with_strings_that_were_put, MIXED, EVERYWHERE},
    {"with_putenv_of_a_name", with_putenv_of_a_name, MIXED, EVERYWHERE},
    {"after_clearenv", after_clearenv, MIXED, EVERYWHERE},
    {"on_a_list_of_the_programs_own", on_a_list_of_the_programs_own, MIXED, EVERYWHERE},
    {"with_a_name_that_is_there_twice", with_a_name_that_is_there_twice, MIXED, EVERYWHERE},
    {"in_a_forked_child", in_a_forked_child, MIXED, EVERYWHERE},
    {"after_a_restored_head", after_a_restored_head, MIXED, EVERYWHERE},
    {"large_lists", large_lists, MIXED, EVERYWHERE},
};

int main(int argc, char **argv, char **envp) { return RUN_SCENES(scenes); }
