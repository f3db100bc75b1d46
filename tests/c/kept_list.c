/* Programs that keep envp, or a head, from before their changes, and start children with it: what was removed is not in there any more,
 * what was replaced has its new value, what nobody touched is there. On the kernel's list until something is added, which libc also
 * does elsewhere; on a list of the library's for whatever is removed or replaced. */
#include "scenes.h"
#include <spawn.h>

/* The list that a child started with LIST gets, as it prints it. */
static const char *child_sees(char **list) {
    static char text[1 << 16];
    int ends[2];
    CHECK(pipe(ends) == 0);
    posix_spawn_file_actions_t actions;
    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, ends[1], 1) == 0);
    CHECK(posix_spawn_file_actions_addclose(&actions, ends[0]) == 0);
    char *arguments[] = {(char *)self, (char *)mode, "print", NULL};
    pid_t child;
    CHECK(posix_spawn(&child, self, &actions, NULL, arguments, list) == 0);
    CHECK(posix_spawn_file_actions_destroy(&actions) == 0 && close(ends[1]) == 0);
    size_t used = 0;
    for (ssize_t n; (n = read(ends[0], text + used, sizeof text - 1 - used)) > 0;)
        used += (size_t)n;
    text[used] = 0;
    CHECK(close(ends[0]) == 0);
    must_succeed(child);
    return text;
}

/* True if ENTRY, with a blank before and behind it, is in what the child printed. */
static int sees(const char *text, const char *entry) {
    char needle[256];
    snprintf(needle, sizeof needle, " %s ", entry);
    return strstr(text, needle) != NULL;
}

/* A kept list against environ: each name has one value in both, and there is no other name. Doubled entries may be met. */
static void must_agree(char **kept) {
    const char *text = child_sees(kept);
    char name[256];
    for (char **slot = environ; *slot; slot++) {
        CHECK(name_of(*slot, name, sizeof name));
        const char *value = scan(kept, name);
        if (!value || strcmp(value, *slot + strlen(name) + 1) != 0)
            FAIL("%s is not so in the kept list:%s", *slot, text);
        if (!brings_library(*slot) && !sees(text, *slot))
            FAIL("%s did not reach the child:%s", *slot, text);
    }
    for (char **slot = kept; *slot; slot++) {
        CHECK(name_of(*slot, name, sizeof name));
        const char *value = getenv(name);
        if (!value || strcmp(value, *slot + strlen(name) + 1) != 0)
            FAIL("%s is in the kept list, not in the environment", *slot);
    }
}

static void a_secret_that_was_unset(void) {
    CHECK(unsetenv("SECRET") == 0);
    must_agree(kernels_list);
    CHECK(!strstr(child_sees(kernels_list), "SECRET") && !strstr(child_sees(environ), "SECRET"));
}

static void a_value_that_was_replaced(void) {
    CHECK(setenv("PATHS", "/safe", 1) == 0);
    must_agree(kernels_list);
    CHECK(sees(child_sees(kernels_list), "PATHS=/safe"));
    static char put[] = "A=put";
    CHECK(putenv(put) == 0);
    must_agree(kernels_list);
    CHECK(setenv("PATHS", "/safer", 1) == 0 && setenv("A", "set", 1) == 0);
    must_agree(kernels_list);
}

static void both(void) {
    CHECK(unsetenv("SECRET") == 0 && setenv("PATHS", "/safe", 1) == 0);
    must_agree(kernels_list);
    /* The first entry, of which the removal may have left a copy. */
    CHECK(setenv("A", "new", 1) == 0);
    must_agree(kernels_list);
    CHECK(setenv("A", "newer", 1) == 0 && unsetenv("B") == 0);
    must_agree(kernels_list);
    CHECK(unsetenv("A") == 0);
    must_agree(kernels_list);
}

/* A removal beside, before and behind each other: what was removed is nowhere, in whatever order. */
static void every_order_of_removals(void) {
    static const char *const names[] = {"A", "SECRET", "B", "PATHS"};
    char copy[8192];
    memcpy(copy, kernels_list, sizeof *kernels_list * (length_of(kernels_list) + 1));
    for (int order = 0; order < 4 * 4 * 4 * 4; order++) {
        int digits[] = {order & 3, order >> 2 & 3, order >> 4 & 3, order >> 6 & 3};
        if ((1 << digits[0] | 1 << digits[1] | 1 << digits[2] | 1 << digits[3]) != 15)
            continue;
        pid_t child = fork();
        if (child == 0) {
            for (int i = 0; i < 4; i++) {
                CHECK(unsetenv(names[digits[i]]) == 0);
                for (int k = 0; k < 4; k++) {
                    int gone = 0;
                    for (int j = 0; j <= i; j++)
                        gone |= digits[j] == k;
                    if ((scan(kernels_list, names[k]) == NULL) != gone)
                        FAIL("%s after %d removals in order %d", names[k], i + 1, order);
                }
            }
            _exit(0);
        }
        must_succeed(child);
    }
    CHECK(memcmp(copy, kernels_list, sizeof *kernels_list * (length_of(kernels_list) + 1)) == 0);
}

static void all_that_there_was(void) {
    char name[256];
    while (*environ && name_of(*environ, name, sizeof name))
        CHECK(unsetenv(name) == 0);
    CHECK(length_of(environ) == 0 && length_of(kernels_list) == 0);
}

/* Random removals and replacements: the kept list says what the environment says. */
static void random_changes(void) {
    uint64_t state = 3;
    for (int round = 0; round < 50; round++) {
        pid_t child = fork();
        if (child == 0) {
            for (int step = 0; step < 12; step++) {
                static const char *const names[] = {"A", "SECRET", "B", "PATHS", "C", "D"};
                uint64_t r = next_random(&state) >> 8;
                const char *name = names[r % 6];
                if (!getenv(name))
                    continue;
                if (r >> 8 & 1)
                    CHECK(unsetenv(name) == 0);
                else
                    CHECK(setenv(name, r >> 9 & 1 ? "one" : "two", 1) == 0);
                for (int i = 0; i < 6; i++) {
                    const char *kept = scan(kernels_list, names[i]), *now = getenv(names[i]);
                    if (!kept != !now || (kept && strcmp(kept, now) != 0))
                        FAIL("%s: kept %s, now %s", names[i], kept ? kept : "none", now ? now : "none");
                }
            }
            must_agree(kernels_list);
            _exit(0);
        }
        must_succeed(child);
        next_random(&state);
    }
}

/* In place: a pointer into the list sees the new string, and an addition leaves what was kept as it is. */
static void a_slot_that_was_kept(void) {
    char **slot = kernels_list;
    while (strncmp(*slot, "PATHS=", 6) != 0)
        slot++;
    CHECK(setenv("PATHS", "/safe", 1) == 0 && strcmp(*slot, "PATHS=/safe") == 0 && getenv("PATHS") == *slot + 6);
    CHECK(setenv("NEW", "1", 1) == 0 && has("PATHS", "/safe"));
    CHECK(strcmp(*slot, "PATHS=/safe") == 0 && !scan(kernels_list, "NEW"));
    CHECK(environ != kernels_list && length_of(environ) == length_of(kernels_list) + 1);
}

/* Lists of the library's. An addition may go elsewhere: not before the head is taken. */
static void a_head_of_the_librarys(void) {
    CHECK(setenv("NEW", "1", 1) == 0 && setenv("NEWER", "1", 1) == 0);
    char **kept = environ;
    CHECK(unsetenv("SECRET") == 0 && setenv("PATHS", "/safe", 1) == 0);
    must_agree(kept);
    CHECK(unsetenv("A") == 0 && unsetenv("NEWER") == 0 && setenv("B", "new", 1) == 0 && setenv("NEW", "2", 1) == 0);
    must_agree(kept);
    CHECK(unsetenv("B") == 0 && unsetenv("NEW") == 0);
    must_agree(kept);
}

/* A walk that began before a removal goes on behind it: it meets all that nobody removed. */
static void a_walk_that_was_on_its_way(void) {
    CHECK(clearenv() == 0);
    for (int at = 0; at < 20; at++)
        for (int victim = 0; victim < 20; victim++) {
            set_numbered("N", 0, 20);
            char **p = environ;
            unsigned seen = 0;
            for (int i = 0; *p; p++, i++) {
                if (i == at)
                    unset_numbered("N", victim, victim + 1);
                if (*p)
                    seen |= 1u << atoi(*p + 1);
                else
                    break;
            }
            CHECK((seen | 1u << victim) == (1u << 20) - 1);
            CHECK(clearenv() == 0);
        }
}

#define LIST_WITH_A_SECRET "A=1 SECRET=s B=2 PATHS=/old @ C=3"

static const struct scene scenes[] = {
    {"a_secret_that_was_unset", a_secret_that_was_unset, LIST_WITH_A_SECRET, EVERYWHERE},
    {"a_secret_in_front", a_secret_that_was_unset, "SECRET=s A=1 @ B=2", EVERYWHERE},
    {"a_secret_at_the_end", a_secret_that_was_unset, "A=1 B=2 @ SECRET=s", EVERYWHERE},
    {"a_value_that_was_replaced", a_value_that_was_replaced, LIST_WITH_A_SECRET, EVERYWHERE},
    {"both", both, LIST_WITH_A_SECRET, EVERYWHERE},
    {"every_order_of_removals", every_order_of_removals, "A=1 SECRET=s @ B=2 PATHS=/old", EVERYWHERE},
    {"all_that_there_was", all_that_there_was, LIST_WITH_A_SECRET, EVERYWHERE},
    {"random_changes", random_changes, LIST_WITH_A_SECRET " D=4", EVERYWHERE},
    {"a_slot_that_was_kept", a_slot_that_was_kept, LIST_WITH_A_SECRET, EVERYWHERE},
    {"a_head_of_the_librarys", a_head_of_the_librarys, LIST_WITH_A_SECRET, EVERYWHERE},
    {"a_walk_that_was_on_its_way", a_walk_that_was_on_its_way, "A=1", LIBRARY_ONLY}, /* libc's removals make it miss one */
};

int main(int argc, char **argv, char **envp) {
    if (argc > 2 && strcmp(argv[2], "print") == 0) {
        for (char **slot = envp; *slot; slot++)
            printf(" %s ", brings_library(*slot) ? "@" : *slot);
        return 0;
    }
    return RUN_SCENES(scenes);
}
