/* Children that are started while another thread changes the environment: none is refused because a null stood where the kernel had
 * counted an entry, none lacks a variable that nobody removed. After the mode: how many children for each scene. */
#include "scenes.h"
#include <spawn.h>

enum { DEFAULT_CHILDREN = 240, LARGE = 100000, LARGE_ONES = 16 };

static long children(void) {
    long n = scene_arguments[0] ? atol(scene_arguments[0]) : DEFAULT_CHILDREN;
    CHECK(n > 0);
    return n;
}

static void numbered(char name[16], const char *prefix, int i) { snprintf(name, 16, "%s%d", prefix, i); }

static atomic_int stop;
static void (*round_of_changes)(void);

static void *change_on(void *unused) {
    while (!atomic_load(&stop))
        round_of_changes();
    return unused;
}

static void fill(int n) {
    char name[16];
    for (int i = 0; i < n; i++) {
        numbered(name, "V", i);
        CHECK(setenv(name, "1", 1) == 0);
    }
}

static void fill_and_clear(void) {
    fill(40);
    CHECK(clearenv() == 0);
}

static void newest_comes_and_goes(void) { CHECK(setenv("T", "1", 1) == 0 && unsetenv("T") == 0); }

static void old_one_goes_and_comes(void) { CHECK(unsetenv("V20") == 0 && setenv("V20", "1", 1) == 0); }

static void all_but_one_go_and_come(void) {
    char name[16];
    for (int i = 1; i < 40; i++) {
        numbered(name, "V", i);
        CHECK(unsetenv(name) == 0);
    }
    fill(40);
}

/* Starts children by the list itself, for as long as it takes. */
static void started_beside(void (*changes)(void), int clear_first) {
    long n = 5 * children(), refused = 0, faults = 0;
    char *arguments[] = {(char *)self, "no more", NULL};
    if (clear_first)
        CHECK(clearenv() == 0);
    else
        fill(40);
    round_of_changes = changes;
    have_a_second_thread(); /* musl does not count its threads: this one says that it is there */
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, change_on, NULL) == 0);
    for (long i = 0; i < n; i++) {
        pid_t child;
        int error = posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ);
        refused += error != 0;
        faults += error == EFAULT;
        if (!error)
            must_succeed(child);
    }
    atomic_store(&stop, 1);
    CHECK(pthread_join(thread, NULL) == 0);
    printf("%ld children, %ld refused, %ld of them with EFAULT\n", n, refused, faults);
    if (refused)
        FAIL("%ld of %ld children were refused", refused, n);
}

static void beside_clearenv(void) { started_beside(fill_and_clear, 1); }
static void beside_the_newest(void) { started_beside(newest_comes_and_goes, 0); }
static void beside_an_old_one(void) { started_beside(old_one_goes_and_comes, 0); }
static void beside_mass_changes(void) { started_beside(all_but_one_go_and_come, 0); }

/* One child at a time, and large values, so that the kernel's copy, from the last entry to the first, lasts; in the midst of it a few
 * changes. The time between the call and the changes goes through all that can be. */
static atomic_int go, done;
static int spawn_error;

static void *spawner(void *unused) {
    char *arguments[] = {(char *)self, (char *)mode, "look", NULL};
    for (;;) {
        int order;
        while ((order = atomic_load(&go)) == 0)
            ;
        if (order == 2)
            return unused;
        pid_t child;
        int status = 0;
        spawn_error = posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ);
        if (!spawn_error)
            CHECK(waitpid(child, &status, 0) == child);
        atomic_store(&go, 0);
        atomic_store(&done, spawn_error ? -1 : status ? 2 : 1);
    }
}

static void removal_and_addition(int i) {
    (void)i;
    CHECK(unsetenv("VICTIM") == 0 && setenv("NEW", "1", 1) == 0);
}

static void removal_and_replacement(int i) {
    CHECK(unsetenv("VICTIM") == 0 && setenv("FIRST", i & 1 ? "two" : "three", 1) == 0);
}

static void removal_only(int i) {
    (void)i;
    CHECK(unsetenv("VICTIM") == 0);
}

/* Six: each two of them may take another array, and of those there are four and more. */
static void some_of_each(int i) {
    CHECK(unsetenv("VICTIM") == 0 && setenv("NEW", "1", 1) == 0 && unsetenv("LAST_VICTIM") == 0 && setenv("VICTIM", "2", 1) == 0);
    CHECK(unsetenv("NEW") == 0 && setenv("FIRST", i & 1 ? "two" : "three", 1) == 0);
}

static void in_the_window(void (*changes)(int)) {
    static char large[LARGE + 1];
    char library[4200], name[16];
    const char *value = getenv("LD_PRELOAD");
    snprintf(library, sizeof library, "%s", value ? value : "");
    memset(large, 'x', LARGE);
    have_a_second_thread();
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, spawner, NULL) == 0);
    int n = (int)children(), lost = 0, refused = 0;
    for (int i = 0; i < n; i++) {
        CHECK(clearenv() == 0 && setenv("LD_PRELOAD", library, 1) == 0);
        CHECK(setenv("LAST_VICTIM", "1", 1) == 0 && setenv("VICTIM", "1", 1) == 0);
        for (int k = 0; k < LARGE_ONES; k++) {
            numbered(name, "LARGE", k);
            CHECK(setenv(name, large, 1) == 0);
        }
        CHECK(setenv("FIRST", "1", 1) == 0);
        uint64_t delay = (uint64_t)(i % 40) * 20000u, start;
        atomic_store(&done, 0);
        atomic_store(&go, 1);
        for (start = now_ns(); now_ns() - start < delay;)
            ;
        changes(i);
        int result;
        while ((result = atomic_load(&done)) == 0)
            usleep(20);
        lost += result == 2;
        refused += result == -1;
    }
    atomic_store(&go, 2);
    CHECK(pthread_join(thread, NULL) == 0);
    printf("%d children, %d lacked a variable, %d were refused\n", n, lost, refused);
    if (lost || refused)
        FAIL("of %d children %d lacked a variable, %d were refused", n, lost, refused);
}

static void window_of_removal_and_addition(void) { in_the_window(removal_and_addition); }
static void window_of_removal_and_replacement(void) { in_the_window(removal_and_replacement); }
static void window_of_removal_only(void) { in_the_window(removal_only); }
static void window_of_some_of_each(void) { in_the_window(some_of_each); }

/* In the child: FIRST, whatever its value, the library's variable, and the large ones. */
static int all_there(char **list) {
    char name[16];
    int there = scan(list, "FIRST") && scan(list, "LD_PRELOAD");
    for (int k = 0; k < LARGE_ONES; k++) {
        numbered(name, "LARGE", k);
        const char *value = scan(list, name);
        there = there && value && strlen(value) == LARGE;
    }
    return there;
}

static const struct scene scenes[] = {
    {"beside_clearenv", beside_clearenv, "A=1", LIBRARY_ONLY},
    {"beside_the_newest", beside_the_newest, "A=1", LIBRARY_ONLY},
    {"beside_an_old_one", beside_an_old_one, "A=1", LIBRARY_ONLY},
    {"beside_mass_changes", beside_mass_changes, "A=1", LIBRARY_ONLY},
    {"window_of_removal_and_addition", window_of_removal_and_addition, "A=1", LIBRARY_ONLY},
    {"window_of_removal_and_replacement", window_of_removal_and_replacement, "A=1", LIBRARY_ONLY},
    {"window_of_removal_only", window_of_removal_only, "A=1", LIBRARY_ONLY},
    {"window_of_some_of_each", window_of_some_of_each, "A=1", LIBRARY_ONLY},
};

int main(int argc, char **argv, char **envp) {
    if (argc == 2 && strcmp(argv[1], "no more") == 0)
        return 0;
    if (argc == 3 && strcmp(argv[2], "look") == 0)
        return !all_there(envp);
    return RUN_SCENES(scenes);
}
