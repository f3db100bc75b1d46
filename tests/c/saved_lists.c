/* Lists that are saved, left for others, changed, and restored: a saved list stays whole while others come and go, three deep; a head that
 * is put back is a list again, without copies of entries; neither the list nor the memory grows with the rounds. */
#include "scenes.h"

enum { ROUNDS = 5000, SLACK_KIB = 1024 };

/* A loop whose memory is taken after a tenth of its rounds and at the end; some KiB may come and go, a round that keeps 200 bytes shows. */
#define FLAT_LOOP(round, body) \
    do { \
        long rss_ = 0; \
        for (int round = 0; round < ROUNDS; round++) { \
            body; \
            if (round == ROUNDS / 10) \
                rss_ = status_kib("VmRSS:"); \
        } \
        long grown_ = status_kib("VmRSS:") - rss_; \
        if (grown_ > SLACK_KIB) \
            FAIL("%d rounds took %ld KiB", ROUNDS, grown_); \
    } while (0)

static void start_from_nothing(void) {
    CHECK(clearenv() == 0);
    CHECK(setenv("C", "1", 1) == 0 && setenv("B", "2", 1) == 0 && setenv("A", "3", 1) == 0);
}

/* A removal, taken back by the saved head, and the variable set again. */
static void a_removal_taken_back(void) {
    start_from_nothing();
    static const char *const names[] = {"A", "B", "C"};
    FLAT_LOOP(round, {
        const char *name = names[round % 3];
        char **saved = environ;
        CHECK(unsetenv(name) == 0 && has(name, NULL));
        environ = saved;
        CHECK(has(name, NULL) && setenv(name, "again", 1) == 0 && has(name, "again"));
        CHECK(length_of(environ) == 3);
        list_is_sound();
    });
}

static void a_replacement_taken_back(void) {
    start_from_nothing();
    FLAT_LOOP(round, {
        char **saved = environ;
        CHECK(setenv("B", round & 1 ? "x" : "y", 1) == 0);
        environ = saved;
        CHECK(has("B", round & 1 ? "x" : "y") && setenv("C", round & 2 ? "x" : "y", 1) == 0);
        CHECK(length_of(environ) == 3);
        list_is_sound();
    });
}

/* Whether the added one is in the saved list is not said; all others are, and nothing twice. */
static void an_addition_taken_back(void) {
    start_from_nothing();
    FLAT_LOOP(round, {
        char **saved = environ;
        CHECK(setenv("T", round & 1 ? "x" : "y", 1) == 0);
        environ = saved;
        CHECK(has("A", "3") && has("B", "2") && has("C", "1"));
        CHECK(unsetenv("T") == 0 && has("T", NULL));
        CHECK(length_of(environ) == 3);
        list_is_sound();
    });
}

static void several_removals_taken_back(void) {
    start_from_nothing();
    set_numbered("N", 0, 20);
    FLAT_LOOP(round, {
        char name[16];
        char **saved = environ;
        int from = round % 15;
        unset_numbered("N", from, from + 5);
        environ = saved;
        for (int i = from; i < from + 5; i++) {
            snprintf(name, sizeof name, "N%d", i);
            CHECK(has(name, NULL));
        }
        set_numbered("N", from, from + 5);
        CHECK(length_of(environ) == 23);
        list_is_sound();
    });
}

static char *own_first[] = {"OWN=1", "B=own", NULL};
static char *own_second[] = {"SECOND=1", "C=own", "D=own", NULL};
static char *own_third[] = {"THIRD=1", NULL};

/* An own list for a while: what the saved one held is there afterwards, and only that. */
static void a_list_of_the_programs_between(void) {
    start_from_nothing();
    FLAT_LOOP(round, {
        char **saved = environ;
        environ = own_first;
        CHECK(setenv("T", "1", 1) == 0 && length_of(environ) == 3 && has("OWN", "1") && has("A", NULL));
        CHECK(unsetenv("B") == 0 && setenv("OWN", round & 1 ? "2" : "3", 1) == 0);
        environ = saved;
        CHECK(length_of(environ) == 3 && has("A", "3") && has("B", "2") && has("C", "1") && has("T", NULL));
        list_is_sound();
        CHECK(setenv("A", "4", 1) == 0 && setenv("A", "3", 1) == 0 && length_of(environ) == 3);
    });
    CHECK(strcmp(own_first[0], "OWN=1") == 0 && strcmp(own_first[1], "B=own") == 0);
}

/* As unit tests and embedded interpreters do, one inside the other. */
static void three_deep(void) {
    start_from_nothing();
    FLAT_LOOP(round, {
        char **outer = environ;
        environ = own_first;
        CHECK(setenv("T", "1", 1) == 0 && unsetenv("B") == 0);
        char **middle = environ;
        environ = own_second;
        CHECK(setenv("U", "1", 1) == 0 && setenv("V", "1", 1) == 0 && unsetenv("C") == 0);
        char **inner = environ;
        environ = own_third;
        CHECK(setenv("W", round & 1 ? "1" : "2", 1) == 0 && length_of(environ) == 2 && has("U", NULL));
        environ = inner;
        CHECK(length_of(environ) == 4 && has("SECOND", "1") && has("D", "own") && has("U", "1") && has("V", "1"));
        CHECK(has("C", NULL) && has("W", NULL) && has("T", NULL));
        CHECK(setenv("D", "other", 1) == 0 && unsetenv("U") == 0);
        environ = middle;
        CHECK(length_of(environ) == 2 && has("OWN", "1") && has("T", "1") && has("D", NULL) && has("V", NULL));
        CHECK(setenv("OWN", "other", 1) == 0);
        environ = outer;
        CHECK(length_of(environ) == 3 && has("A", "3") && has("B", "2") && has("C", "1"));
        CHECK(has("OWN", NULL) && has("T", NULL) && has("SECOND", NULL));
        list_is_sound();
        CHECK(setenv("A", round & 1 ? "5" : "6", 1) == 0 && setenv("A", "3", 1) == 0);
        list_is_sound();
    });
}

/* The kernel's list as the outermost: its own array is never given to another list. */
static void three_deep_from_the_kernels(void) {
    FLAT_LOOP(round, {
        char **outer = environ;
        CHECK(outer == kernels_list);
        environ = own_first;
        CHECK(setenv("T", round & 1 ? "1" : "2", 1) == 0);
        char **middle = environ;
        environ = NULL;
        CHECK(setenv("U", "1", 1) == 0 && length_of(environ) == 1);
        char **inner = environ;
        CHECK(clearenv() == 0 && setenv("V", "1", 1) == 0 && length_of(environ) == 1);
        environ = inner;
        CHECK(length_of(environ) == 1 && has("U", "1"));
        environ = middle;
        CHECK(length_of(environ) == 3 && has("OWN", "1") && has("B", "own") && has("T", round & 1 ? "1" : "2"));
        environ = outer;
        LIST("A=1 B=2 @ C=3");
        list_is_sound();
    });
}

/* Empty lists between: a saved one stays whole across clearenv. */
static void clearenv_between(void) {
    start_from_nothing();
    FLAT_LOOP(round, {
        char **saved = environ;
        CHECK(clearenv() == 0);
        LIST("");
        CHECK(setenv("T", round & 1 ? "1" : "2", 1) == 0 && setenv("A", "t", 1) == 0);
        environ = saved;
        CHECK(length_of(environ) == 3 && has("A", "3") && has("B", "2") && has("C", "1") && has("T", NULL));
        CHECK(setenv("B", "3", 1) == 0 && setenv("B", "2", 1) == 0);
        list_is_sound();
    });
}

static void null_between(void) {
    start_from_nothing();
    FLAT_LOOP(round, {
        char **saved = environ;
        environ = NULL;
        CHECK(setenv("T", round & 1 ? "1" : "2", 1) == 0 && length_of(environ) == 1);
        environ = saved;
        CHECK(length_of(environ) == 3 && has("A", "3") && has("B", "2") && has("C", "1") && has("T", NULL));
    });
}

/* A copy of the list, made and assigned in each round, as posix programs do before they change anything. */
static void a_copy_of_the_list_each_round(void) {
    start_from_nothing();
    FLAT_LOOP(round, {
        char **saved = environ;
        size_t n = length_of(saved);
        char **copy = calloc(n + 1, sizeof *copy);
        CHECK(copy);
        memcpy(copy, saved, n * sizeof *copy);
        environ = copy;
        CHECK(setenv("T", round & 1 ? "1" : "2", 1) == 0 && length_of(environ) == n + 1 && has("A", "3"));
        environ = saved;
        free(copy);
        CHECK(length_of(environ) == n && has("T", NULL) && has("A", "3"));
        list_is_sound();
    });
}

/* Restored at growing lengths, so that the saved list is in an array that was outgrown. */
static void an_outgrown_list_is_restored(void) {
    for (int n = 3; n < 400; n = n * 3 / 2) {
        CHECK(clearenv() == 0);
        set_numbered("N", 0, n);
        char **saved = environ;
        size_t length = length_of(saved);
        environ = own_first;
        set_numbered("T", 0, 2 * n);
        CHECK(length_of(environ) == (size_t)(2 * n) + 2);
        environ = saved;
        CHECK(length_of(environ) == length && has("N0", "1") && has("T0", NULL) && has("OWN", NULL));
        list_is_sound();
        set_numbered("M", 0, n);
        CHECK(length_of(environ) == length + (size_t)n && has("N1", "1"));
        list_is_sound();
    }
}

/* What the program stored by hand into a list that it restores is not dropped with the copies. */
static void what_was_stored_by_hand_stays(void) {
    start_from_nothing();
    for (int round = 0; round < 100; round++) {
        char **saved = environ;
        CHECK(unsetenv("B") == 0);
        environ = saved;
        *environ = round & 1 ? "HAND=1" : "HAND=2";
        CHECK(has("HAND", round & 1 ? "1" : "2"));
        CHECK(setenv("B", "2", 1) == 0 && has("B", "2") && has("HAND", round & 1 ? "1" : "2"));
        CHECK(entries_of(environ, "HAND") == 1 && entries_of(environ, "B") == 1);
        list_is_sound();
        CHECK(unsetenv("HAND") == 0 && setenv("A", "3", 1) == 0 && setenv("C", "1", 1) == 0 && length_of(environ) == 3);
    }
}

/* A child has its parent's saved lists. */
static void in_forked_children(void) {
    start_from_nothing();
    for (int round = 0; round < 30; round++) {
        char **saved = environ;
        environ = own_first;
        CHECK(setenv("T", "1", 1) == 0);
        pid_t child = fork();
        if (child == 0) {
            for (int i = 0; i < 20; i++) {
                char **middle = environ;
                CHECK(length_of(middle) == 3);
                environ = saved;
                CHECK(length_of(environ) == 3 && has("A", "3") && has("T", NULL));
                CHECK(unsetenv("A") == 0);
                environ = saved;
                CHECK(has("A", NULL) && setenv("A", "3", 1) == 0 && length_of(environ) == 3);
                saved = environ;
                environ = middle;
                CHECK(length_of(environ) == 3 && has("T", "1") && has("OWN", "1"));
                CHECK(setenv("T", "2", 1) == 0 && setenv("T", "1", 1) == 0);
                list_is_sound();
            }
            _exit(0);
        }
        must_succeed(child);
        environ = saved;
        CHECK(length_of(environ) == 3 && has("A", "3"));
    }
}

/* The same once there were threads. */
#define WITH_THREADS(scene) \
    static void scene##_with_threads(void) { \
        have_a_second_thread(); \
        scene(); \
    }
WITH_THREADS(a_removal_taken_back)
WITH_THREADS(several_removals_taken_back)
WITH_THREADS(three_deep)
WITH_THREADS(clearenv_between)
WITH_THREADS(what_was_stored_by_hand_stays)

static const struct scene scenes[] = {
    {"a_removal_taken_back", a_removal_taken_back, "X=1", EVERYWHERE},
    {"a_replacement_taken_back", a_replacement_taken_back, "X=1", EVERYWHERE},
    /* Plain libc frees, or uses again, a list that an addition has left. */
    {"an_addition_taken_back", an_addition_taken_back, "X=1", LIBRARY_ONLY},
    {"several_removals_taken_back", several_removals_taken_back, "X=1", LIBRARY_ONLY},
    {"a_list_of_the_programs_between", a_list_of_the_programs_between, "X=1", LIBRARY_ONLY},
    {"three_deep", three_deep, "X=1", LIBRARY_ONLY},
    {"three_deep_from_the_kernels", three_deep_from_the_kernels, "A=1 B=2 @ C=3", LIBRARY_ONLY},
    {"clearenv_between", clearenv_between, "X=1", LIBRARY_ONLY},
    {"null_between", null_between, "X=1", LIBRARY_ONLY},
    {"a_copy_of_the_list_each_round", a_copy_of_the_list_each_round, "X=1", LIBRARY_ONLY},
    {"an_outgrown_list_is_restored", an_outgrown_list_is_restored, "X=1", LIBRARY_ONLY},
    {"what_was_stored_by_hand_stays", what_was_stored_by_hand_stays, "X=1", LIBRARY_ONLY},
    {"in_forked_children", in_forked_children, "X=1", LIBRARY_ONLY},
    {"a_removal_taken_back_with_threads", a_removal_taken_back_with_threads, "X=1", LIBRARY_ONLY},
    {"several_removals_taken_back_with_threads", several_removals_taken_back_with_threads, "X=1", LIBRARY_ONLY},
    {"three_deep_with_threads", three_deep_with_threads, "X=1", LIBRARY_ONLY},
    {"clearenv_between_with_threads", clearenv_between_with_threads, "X=1", LIBRARY_ONLY},
    {"what_was_stored_by_hand_stays_with_threads", what_was_stored_by_hand_stays_with_threads, "X=1", LIBRARY_ONLY},
};

int main(int argc, char **argv, char **envp) { return RUN_SCENES(scenes); }
