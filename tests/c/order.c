/* The order of the list and its first entry, as every libc keeps them: a new variable comes last, a replaced one stays where it is, a
 * removal closes the gap. Where a second thread existed the order is free, but a list from a head once loaded never gets longer. */
#include "scenes.h"

static void additions_come_last(void) {
    LIST("A=1 B=2 C=3 @");
    char *first = environ[0];
    CHECK(setenv("D", "4", 1) == 0);
    LIST("A=1 B=2 C=3 @ D=4");
    CHECK(environ[0] == first);
    static char put[] = "E=5";
    CHECK(putenv(put) == 0);
    LIST("A=1 B=2 C=3 @ D=4 E=5");
    CHECK(environ[0] == first && environ[5] == put);
    CHECK(setenv("F", "", 0) == 0);
    LIST("A=1 B=2 C=3 @ D=4 E=5 F=");
    CHECK(environ[0] == first);
    list_is_sound();
}

static void removals_close_the_gap(void) {
    CHECK(unsetenv("B") == 0);
    LIST("A=1 C=3 @ D=4 E=5");
    CHECK(unsetenv("A") == 0);
    LIST("C=3 @ D=4 E=5");
    CHECK(unsetenv("E") == 0);
    LIST("C=3 @ D=4");
    CHECK(putenv("D") == 0);
    LIST("C=3 @");
    CHECK(unsetenv("ABSENT") == 0 && unsetenv("C") == 0);
    LIST("@");
    list_is_sound();
}

static void replacements_stay_in_place(void) {
    CHECK(setenv("B", "other", 1) == 0);
    LIST("A=1 B=other C=3 @");
    static char put[] = "A=put";
    CHECK(putenv(put) == 0 && environ[0] == put);
    LIST("A=put B=other C=3 @");
    CHECK(setenv("C", "", 1) == 0 && setenv("A", "not this", 0) == 0);
    LIST("A=put B=other C= @");
    CHECK(setenv("A", "1", 1) == 0 && setenv("NEW", "1", 1) == 0 && setenv("C", "3", 1) == 0);
    LIST("A=1 B=other C=3 @ NEW=1");
    list_is_sound();
}

static void all_kinds_of_changes_in_turn(void) {
    CHECK(setenv("D", "4", 1) == 0 && unsetenv("B") == 0);
    LIST("A=1 C=3 @ D=4");
    CHECK(setenv("B", "again", 1) == 0);
    LIST("A=1 C=3 @ D=4 B=again");
    CHECK(unsetenv("A") == 0 && setenv("C", "x", 1) == 0 && setenv("A", "last", 1) == 0);
    LIST("C=x @ D=4 B=again A=last");
    CHECK(unsetenv("A") == 0 && unsetenv("B") == 0 && setenv("B", "0", 1) == 0 && setenv("A", "0", 1) == 0);
    LIST("C=x @ D=4 B=0 A=0");
    list_is_sound();
}

static void removals_before_additions(void) {
    CHECK(unsetenv("B") == 0);
    LIST("A=1 C=3 @");
    CHECK(setenv("B", "0", 1) == 0);
    LIST("A=1 C=3 @ B=0");
    CHECK(unsetenv("A") == 0 && putenv("A=0") == 0);
    LIST("C=3 @ B=0 A=0");
}

static void after_clearenv(void) {
    CHECK(clearenv() == 0);
    LIST("");
    CHECK(setenv("A", "1", 1) == 0 && setenv("B", "2", 1) == 0 && setenv("C", "3", 1) == 0);
    LIST("A=1 B=2 C=3");
    CHECK(unsetenv("A") == 0 && setenv("A", "4", 1) == 0);
    LIST("B=2 C=3 A=4");
    CHECK(clearenv() == 0 && setenv("Z", "1", 1) == 0 && setenv("A", "1", 1) == 0);
    LIST("Z=1 A=1");
}

static void when_all_are_unset_one_by_one(void) {
    CHECK(unsetenv("LD_PRELOAD") == 0 && unsetenv("NO_PRELOAD") == 0);
    CHECK(unsetenv("A") == 0 && unsetenv("C") == 0 && unsetenv("B") == 0);
    LIST("");
    CHECK(setenv("C", "1", 1) == 0 && setenv("A", "1", 1) == 0 && setenv("B", "1", 1) == 0);
    LIST("C=1 A=1 B=1");
    CHECK(unsetenv("B") == 0 && unsetenv("A") == 0 && unsetenv("C") == 0);
    LIST("");
    CHECK(setenv("X", "1", 1) == 0);
    LIST("X=1");
}

/* The list grows several times on the way. */
static void growth_keeps_the_order(void) {
    char name[16];
    char *first = environ[0];
    set_numbered("N", 0, 1000);
    CHECK(environ[0] == first && length_of(environ) == 1004);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "N%d=1", i);
        CHECK(strcmp(environ[4 + i], name) == 0);
    }
    for (int i = 0; i < 1000; i++)
        if (i % 3)
            unset_numbered("N", i, i + 1);
    CHECK(environ[0] == first && length_of(environ) == 338);
    for (int i = 0; i < 334; i++) {
        snprintf(name, sizeof name, "N%d=1", 3 * i);
        CHECK(strcmp(environ[4 + i], name) == 0);
    }
    set_numbered("N", 1, 3);
    CHECK(length_of(environ) == 340 && strcmp(environ[338], "N1=1") == 0 && strcmp(environ[339], "N2=1") == 0);
    list_is_sound();
}

static void in_a_forked_child(void) {
    CHECK(setenv("D", "4", 1) == 0);
    for (int generation = 0; generation < 5; generation++) {
        pid_t child = fork();
        if (child > 0) {
            must_succeed(child);
            _exit(0);
        }
        CHECK(unsetenv("B") == 0 && setenv("B", "child", 1) == 0);
        LIST("A=1 C=3 @ D=4 B=child");
        CHECK(unsetenv("B") == 0 && unsetenv("ABSENT") == 0);
        LIST("A=1 C=3 @ D=4");
        CHECK(setenv("E", "5", 1) == 0);
        LIST("A=1 C=3 @ D=4 E=5");
        CHECK(unsetenv("E") == 0);
    }
}

static void in_a_forked_child_before_the_first_change(void) {
    pid_t child = fork();
    if (child == 0) {
        CHECK(unsetenv("B") == 0 && setenv("B", "child", 1) == 0 && setenv("A", "", 1) == 0);
        LIST("A= C=3 @ B=child");
        _exit(0);
    }
    must_succeed(child);
    LIST("A=1 B=2 C=3 @");
}

static void on_a_list_of_the_programs_own(void) {
    char *own[] = {"X=1", "Y=2", "Z=3", NULL};
    environ = own;
    CHECK(setenv("W", "4", 1) == 0);
    LIST("X=1 Y=2 Z=3 W=4");
    CHECK(unsetenv("Y") == 0 && setenv("Y", "5", 1) == 0 && setenv("X", "6", 1) == 0);
    LIST("X=6 Z=3 W=4 Y=5");
    environ = NULL;
    CHECK(setenv("B", "1", 1) == 0 && setenv("A", "1", 1) == 0);
    LIST("B=1 A=1");
}

static void entries_without_a_name_keep_their_place(void) {
    char *own[] = {"odd", "A=1", "=x", "B=2", "", NULL};
    environ = own;
    CHECK(setenv("C", "3", 1) == 0);
    CHECK(length_of(environ) == 6 && strcmp(environ[0], "odd") == 0 && strcmp(environ[2], "=x") == 0);
    CHECK(strcmp(environ[4], "") == 0 && strcmp(environ[5], "C=3") == 0);
    CHECK(unsetenv("A") == 0 && unsetenv("B") == 0);
    CHECK(length_of(environ) == 4 && strcmp(environ[0], "odd") == 0 && strcmp(environ[1], "=x") == 0);
    CHECK(strcmp(environ[2], "") == 0 && strcmp(environ[3], "C=3") == 0);
}

/* Random changes beside a vector: after each one the lists are the same, entry by entry. */
enum { NAMES = 12, STEPS = 20000, ROOM = 64 };

static char *expected[ROOM];
static int expected_count;

static int expected_index(const char *name) {
    size_t length = strlen(name);
    for (int i = 0; i < expected_count; i++)
        if (strncmp(expected[i], name, length) == 0 && expected[i][length] == '=')
            return i;
    return -1;
}

static void expect(const char *name, const char *value) {
    int i = expected_index(name);
    if (i < 0)
        i = expected_count++;
    else
        free(expected[i]);
    CHECK(asprintf(&expected[i], "%s=%s", name, value) > 0);
}

static void expect_none(const char *name) {
    int i = expected_index(name);
    if (i < 0)
        return;
    free(expected[i]);
    memmove(expected + i, expected + i + 1, sizeof *expected * (size_t)(--expected_count - i));
}

static void expect_nothing_from(int n) {
    while (expected_count > n)
        free(expected[--expected_count]);
}

static void random_changes_keep_the_order(void) {
    uint64_t seed = scene_arguments[0] ? strtoull(scene_arguments[0], NULL, 0) | 1 : 1, state = seed;
    for (char **slot = environ; *slot; slot++)
        CHECK((expected[expected_count++] = strdup(*slot)));
    for (int step = 0; step < STEPS; step++) {
        char name[8], value[16], *string;
        uint64_t r = next_random(&state) >> 8;
        snprintf(name, sizeof name, "N%d", (int)(r % NAMES));
        snprintf(value, sizeof value, "%d", (int)(r >> 8 & 3));
        switch (r >> 16 & 63) {
        default:
            CHECK(setenv(name, value, 1) == 0);
            expect(name, value);
            break;
        case 0 ... 24:
            CHECK(unsetenv(name) == 0);
            expect_none(name);
            break;
        case 25 ... 30:
            CHECK(asprintf(&string, "%s=%s", name, value) > 0 && putenv(string) == 0);
            expect(name, value);
            break;
        case 31:
            if ((r >> 24 & 15) == 0) {
                CHECK(clearenv() == 0);
                expect_nothing_from(0);
            }
            break;
        case 32: /* cut by the program */
            if (expected_count > 4) {
                int at = (int)((r >> 24) % (unsigned)expected_count);
                environ[at] = NULL;
                expect_nothing_from(at);
            }
            break;
        case 33: { /* a list of the program's own, its strings, too */
            static char *own[8][ROOM];
            char **list = own[r >> 24 & 7];
            if (environ >= own[0] && environ < own[8])
                break; /* one of them at a time is the environment */
            for (int i = 0; i < expected_count; i++)
                CHECK((list[i] = strdup(expected[i])));
            list[expected_count] = NULL;
            environ = list;
            break;
        }
        case 34: /* an entry behind the last, where there is room for it and for the null */
            if (expected_count > 0 && expected_index(name) < 0 && (r >> 24 & 3) == 0) {
                static char *grown[ROOM];
                if (environ == grown)
                    break;
                for (int i = 0; i < expected_count; i++)
                    grown[i] = environ[i];
                CHECK(asprintf(&grown[expected_count], "%s=%s", name, value) > 0);
                grown[expected_count + 1] = NULL;
                environ = grown;
                expect(name, value);
            }
            break;
        }
        int same = length_of(environ) == (size_t)expected_count;
        for (int i = 0; same && i < expected_count; i++)
            same = strcmp(environ[i], expected[i]) == 0;
        if (!same) {
            fprintf(stderr, "seed %llu, step %d, wanted", (unsigned long long)seed, step);
            expected[expected_count] = NULL;
            print_list(stderr, expected);
            fprintf(stderr, "found");
            print_list(stderr, environ);
            _exit(1);
        }
        for (int i = 0; i < NAMES; i++) {
            snprintf(name, sizeof name, "N%d", i);
            int at = expected_index(name);
            CHECK(has(name, at < 0 ? NULL : strchr(expected[at], '=') + 1));
        }
    }
}

/* Beside threads. */

/* Whoever has loaded a head and counted from there may copy as many entries and finds the end. */
static void with_threads_no_list_gets_longer(void) {
    enum { HEADS = 400 };
    static char **heads[HEADS];
    static size_t lengths[HEADS];
    uint64_t state = 5;
    have_a_second_thread();
    for (int round = 0; round < HEADS; round++) {
        heads[round] = environ;
        lengths[round] = length_of(environ);
        char name[16];
        uint64_t r = next_random(&state) >> 8;
        snprintf(name, sizeof name, "N%d", (int)(r % 30));
        if (r >> 8 & 1)
            CHECK(setenv(name, r >> 9 & 1 ? "1" : "2", 1) == 0);
        else
            CHECK(unsetenv(name) == 0);
        if ((r >> 16 & 63) == 0)
            CHECK(clearenv() == 0 && setenv("A", "1", 1) == 0);
        for (int i = 0; i <= round; i++)
            CHECK(length_of(heads[i]) <= lengths[i]);
        CHECK(has("A", "1"));
        list_is_sound();
    }
}

static void with_threads_every_variable_is_there(void) {
    have_a_second_thread();
    CHECK(setenv("D", "4", 1) == 0 && unsetenv("B") == 0 && setenv("A", "5", 1) == 0);
    CHECK(length_of(environ) == 4 && has("A", "5") && has("B", NULL) && has("C", "3") && has("D", "4"));
    list_is_sound();
    set_numbered("N", 0, 300);
    unset_numbered("N", 0, 299);
    CHECK(length_of(environ) == 5 && has("N299", "1"));
    list_is_sound();
}

static const struct scene scenes[] = {
    {"additions_come_last", additions_come_last, "A=1 B=2 C=3", EVERYWHERE},
    {"removals_close_the_gap", removals_close_the_gap, "A=1 B=2 C=3 @ D=4 E=5", EVERYWHERE},
    {"replacements_stay_in_place", replacements_stay_in_place, "A=1 B=2 C=3", EVERYWHERE},
    {"all_kinds_of_changes_in_turn", all_kinds_of_changes_in_turn, "A=1 B=2 C=3", EVERYWHERE},
    {"removals_before_additions", removals_before_additions, "A=1 B=2 C=3", EVERYWHERE},
    {"after_clearenv", after_clearenv, "A=1 B=2 C=3", EVERYWHERE},
    {"when_all_are_unset_one_by_one", when_all_are_unset_one_by_one, "A=1 B=2 C=3", EVERYWHERE},
    {"growth_keeps_the_order", growth_keeps_the_order, "A=1 B=2 C=3", EVERYWHERE},
    {"in_a_forked_child", in_a_forked_child, "A=1 B=2 C=3", EVERYWHERE},
    {"in_a_forked_child_before_the_first_change", in_a_forked_child_before_the_first_change, "A=1 B=2 C=3", EVERYWHERE},
    {"on_a_list_of_the_programs_own", on_a_list_of_the_programs_own, "A=1", EVERYWHERE},
    {"entries_without_a_name_keep_their_place", entries_without_a_name_keep_their_place, "A=1", EVERYWHERE},
    {"random_changes_keep_the_order", random_changes_keep_the_order, "A=1 N3=x B=2", EVERYWHERE},
    {"with_threads_no_list_gets_longer", with_threads_no_list_gets_longer, "A=1 B=2 C=3", LIBRARY_ONLY},
    {"with_threads_every_variable_is_there", with_threads_every_variable_is_there, "A=1 B=2 C=3", EVERYWHERE},
};

int main(int argc, char **argv, char **envp) { return RUN_SCENES(scenes); }
