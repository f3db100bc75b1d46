/* Loops of ARGV[1] rounds that save, assign and restore environ: the memory must stay bounded, as the kernel counts it. */
#include "check.h"

enum {
    SLACK_KIB = 1024, /* what a shape may cost, however many rounds: one array per round would be 1 KiB per round */
};

static long rounds;

static void set_numbered(const char *prefix, int n) {
    char name[32];
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "%s%d", prefix, i);
        CHECK(setenv(name, "1", 1) == 0);
    }
}

static void assign_the_saved_list_after_a_set(long i) {
    char **saved = environ;
    CHECK(setenv("T", i & 1 ? "1" : "2", 1) == 0);
    environ = saved;
}

static void add_then_restore_then_remove(long i) {
    (void)i;
    char **saved = environ;
    CHECK(setenv("TEMPORARY", "1", 1) == 0 && unsetenv("B3") == 0);
    environ = saved;
    CHECK(unsetenv("TEMPORARY") == 0 && setenv("B3", "1", 1) == 0);
}

static void an_own_list_each_round(long i) {
    static char *lists[2][3] = {{"OWN=1", "B=1", NULL}, {"OWN=2", "C=1", NULL}};
    environ = lists[i & 1];
    CHECK(setenv("T", "1", 1) == 0 && has("OWN", i & 1 ? "2" : "1") && has("B", i & 1 ? NULL : "1"));
}

static void an_own_list_beside_the_saved_one(long i) {
    (void)i;
    char **saved = environ, *list[] = {"OWN=1", NULL};
    environ = list;
    CHECK(setenv("T", "1", 1) == 0);
    environ = saved;
    CHECK(setenv("T", "2", 1) == 0);
}

static void an_empty_list_by_a_direct_store(long i) {
    if (environ)
        *environ = NULL;
    CHECK(setenv("T", i & 1 ? "1" : "2", 1) == 0 && has("B3", NULL));
}

static void null_each_round(long i) {
    environ = NULL;
    CHECK(setenv("T", i & 1 ? "1" : "2", 1) == 0 && setenv("U", "1", 1) == 0);
}

static void clear_each_round(long i) {
    CHECK(clearenv() == 0);
    CHECK(setenv("T", i & 1 ? "1" : "2", 1) == 0);
}

static void cut_in_the_middle(long i) {
    if (i % 4 == 0) {
        set_numbered("B", 4);
        environ[2] = NULL;
    }
    CHECK(setenv("T", i & 1 ? "1" : "2", 1) == 0 && unsetenv("U") == 0);
}

/* The array that was outgrown when the loop began. */
static char **retired;
static void the_outgrown_array_each_round(long i) {
    environ = retired;
    CHECK(setenv("T", i & 1 ? "1" : "2", 1) == 0 && has("R7", "1"));
}

static void two_arrays_in_turn(long i) {
    static char **other;
    if (i == 0) {
        other = environ;
        set_numbered("GROWN", 200);
    }
    char **current = environ;
    environ = other;
    CHECK(setenv("T", i & 1 ? "1" : "2", 1) == 0);
    other = current;
}

static void equal_values_of_many_names(long i) {
    char name[32];
    snprintf(name, sizeof name, "E%ld", i % 100);
    CHECK(setenv(name, "1", 1) == 0);
    if (i % 100 > 50)
        CHECK(unsetenv(name) == 0);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*round)(long);
        int retire;
    } shapes[] = {
        {"assign the saved list after a set", assign_the_saved_list_after_a_set, 0},
        {"add, restore, remove", add_then_restore_then_remove, 0},
        {"an own list each round", an_own_list_each_round, 0},
        {"an own list beside the saved one", an_own_list_beside_the_saved_one, 0},
        {"*environ = NULL", an_empty_list_by_a_direct_store, 0},
        {"environ = NULL", null_each_round, 0},
        {"clearenv", clear_each_round, 0},
        {"environ[2] = NULL", cut_in_the_middle, 0},
        {"the outgrown array", the_outgrown_array_each_round, 1},
        {"two arrays in turn", two_arrays_in_turn, 0},
        {"equal values", equal_values_of_many_names, 0},
    };
    must_be_preloaded();
    CHECK(argc == 2);
    rounds = atol(argv[1]);
    int failed = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        CHECK(clearenv() == 0);
        set_numbered("B", 8);
        if (shapes[i].retire) {
            set_numbered("R", 20);
            retired = environ;
            set_numbered("GROW", 200);
        }
        /* What it costs at first is its own business. */
        for (long round = 0; round < rounds / 100; round++)
            shapes[i].round(round);
        long size = status_kib("VmSize:"), resident = status_kib("VmRSS:");
        uint64_t start = now_ns();
        for (long round = 0; round < rounds; round++)
            shapes[i].round(round);
        long grown = status_kib("VmSize:") - size, touched = status_kib("VmRSS:") - resident;
        int bad = grown > SLACK_KIB || touched > SLACK_KIB;
        failed += bad;
        printf("%s: %ld rounds, %ld KiB more, %ld resident, %llu ns each%s\n", shapes[i].name, rounds, grown, touched,
               (unsigned long long)(now_ns() - start) / (unsigned long long)rounds, bad ? " -- TOO MUCH" : "");
    }
    fflush(stdout);
    CHECK(!failed);
    return 0;
}
