/* Calls one function of the environment a given number of times, for callgrind to count instructions.
 *
 *   count CASE N CALLS LIB    LIB: the preload library, "libc", or "nothing" (functions that only return: the loop's own share)
 *
 * CASE: hit, miss (getenv in a list that the contestant built), foreign-hit, foreign-miss (in one that the program assigned to
 * `environ`), equal, other, pair (setenv, setenv and unsetenv). `run` counts a run with CALLS and one with twice as many: the
 * difference is that of CALLS calls, start and building apart. */
#include "common.h"

enum { ORDER = 4096, EXTRA = 64 };

static const char *expected_next;
static char *nothing_get(const char *name)
{
    (void)name;
    return (char *)expected_next;
}
static int nothing_set(const char *name, const char *value, int overwrite)
{
    (void)name, (void)value, (void)overwrite;
    return 0;
}
static int nothing_unset(const char *name)
{
    (void)name;
    return 0;
}

static char names[1024][NAME_ROOM], misses[1024][NAME_ROOM], extra[EXTRA][NAME_ROOM], values[1024][2][VALUE_ROOM];
static char entries[1024][NAME_ROOM + VALUE_ROOM];
static char *foreign[1024 + 1];
static const char *expected[1024];
static uint16_t order[ORDER], sequence[1024];

int main(int argc, char **argv)
{
    CHECK(argc == 5);
    const char *what = argv[1], *library = argv[4];
    unsigned n = (unsigned)atoi(argv[2]), calls = (unsigned)atoi(argv[3]);
    CHECK(n >= 1 && n <= 1024);
    struct contestant builder, who;
    int nothing = strcmp(library, "nothing") == 0;
    builder = nothing || strcmp(library, "libc") == 0 ? libc_itself() : ours_from(library);
    who = nothing ? (struct contestant){"nothing", nothing_get, nothing_set, nothing_unset, NULL} : builder;

    for (unsigned i = 0; i < n; i++) {
        name_into(names[i], i);
        absent_name_into(misses[i], i);
        value_into(values[i][0], i, 0);
        value_into(values[i][1], i, 1);
        sequence[i] = (uint16_t)i;
    }
    for (unsigned i = 0; i < EXTRA; i++)
        name_into(extra[i], n + i);
    for (unsigned i = 0; i < ORDER; i++)
        order[i] = (uint16_t)(i % n);
    shuffle(order, ORDER);
    shuffle(sequence, n);
    int is_foreign = strncmp(what, "foreign-", 8) == 0;
    if (is_foreign)
        what += 8;
    if (!is_foreign)
        CHECK(builder.clear() == 0);
    for (unsigned i = 0; i < n; i++) {
        unsigned which = sequence[i];
        snprintf(entries[i], sizeof entries[i], "%s=%s", names[which], values[which][0]);
        foreign[i] = entries[i];
        if (!is_foreign)
            CHECK(builder.set(names[which], values[which][0], 1) == 0);
    }
    if (is_foreign)
        environ = foreign;

    unsigned found = 0;
    for (unsigned i = 0; i < n; i++) {
        expected[i] = scan(names[i], &found);
        CHECK(expected[i] && found == n && !scan(misses[i], NULL));
    }
    if (strcmp(what, "hit") == 0) {
        for (unsigned i = 0; i < calls; i++) {
            unsigned at = order[i % ORDER];
            expected_next = expected[at];
            CHECK(who.get(names[at]) == expected[at]);
        }
    } else if (strcmp(what, "miss") == 0) {
        for (unsigned i = 0; i < calls; i++) {
            expected_next = NULL;
            CHECK(who.get(misses[order[i % ORDER]]) == NULL);
        }
    } else if (strcmp(what, "equal") == 0) {
        for (unsigned i = 0; i < calls; i++) {
            unsigned at = order[i % ORDER];
            CHECK(who.set(names[at], values[at][0], 1) == 0);
        }
    } else if (strcmp(what, "other") == 0) {
        static unsigned char which[1024];
        for (unsigned i = 0; i < calls; i++) {
            unsigned at = order[i % ORDER];
            CHECK(who.set(names[at], values[at][which[at] ^= 1], 1) == 0);
        }
        for (unsigned i = 0; i < n && !nothing; i++)
            CHECK(strcmp(scan(names[i], NULL), values[i][which[i]]) == 0);
    } else if (strcmp(what, "pair") == 0) {
        for (unsigned i = 0; i < calls; i++) {
            const char *name = extra[order[i % ORDER] % EXTRA];
            CHECK(who.set(name, "tcp://10.96.0.1:443", 1) == 0 && who.unset(name) == 0);
        }
    } else {
        FAIL("no case %s", what);
    }
    scan("PATH", &found);
    CHECK(found == n);
    return 0;
}
