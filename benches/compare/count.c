/* Calls functions of the environment under callgrind, which counts the instructions of each case and dumps them.
 *
 *   count LIST N LIB [COMMAND...]    LIST: how the N variables came about, see lists.h; LIB: the preload library, or "libc"
 *
 * LIST has "-parked" at its end for a process with a second thread, which sleeps. With COMMAND it only becomes that command, with an
 * inherited list: the way to start callgrind, and under it this program without COMMAND.
 *
 * Each dump is named after its case. A case whose name begins with "nothing" is the same loop around functions that only return:
 * the loop's own share. The cases of a list: hit, miss (getenv, random names), first, middle (that entry's name over and over). Of
 * "built" also, where N is MOST_CHANGED at most: equal, other (setenv), pair (setenv of a new name and unsetenv), newest (the same
 * for one name), old (unsetenv of one that is there, and setenv). */
#include "lists.h"
#include <elf.h>
#include <sys/auxv.h>
#include <valgrind/callgrind.h>

enum { ORDER = 4096, MOST_CHANGED = 1000, LEAST_CHANGED = 40, MOST_COUNTED = 1024 };

static const char *answer; /* of the function that only returns */
static char *nothing_get(const char *name)
{
    (void)name;
    return (char *)answer;
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

static char names[MOST_COUNTED][NAME_ROOM], misses[MOST_COUNTED][NAME_ROOM], extra[64][NAME_ROOM], values[MOST_COUNTED][2][VALUE_ROOM];
static const char *expected[MOST_COUNTED];
static unsigned char which[MOST_COUNTED];
static uint16_t order[ORDER];
static unsigned n, entries;

typedef void loop(const struct contestant *who);

static void hit(const struct contestant *who)
{
    for (unsigned i = 0; i < ORDER; i++) {
        answer = expected[order[i]];
        CHECK(who->get(names[order[i]]) == answer);
    }
}
static void miss(const struct contestant *who)
{
    answer = NULL;
    for (unsigned i = 0; i < ORDER; i++)
        CHECK(who->get(misses[order[i]]) == NULL);
}
static void one(const struct contestant *who, unsigned place)
{
    unsigned i = 0;
    const char *entry = environ[place];
    while (i < n && (expected[i] < entry || expected[i] > entry + strlen(entry)))
        i++;
    CHECK(i < n);
    answer = expected[i];
    for (unsigned call = 0; call < ORDER; call++)
        CHECK(who->get(names[i]) == answer);
}
static void first(const struct contestant *who)
{
    one(who, 0);
}
static void middle(const struct contestant *who)
{
    one(who, n / 2);
}
static void equal(const struct contestant *who)
{
    for (unsigned i = 0; i < ORDER; i++)
        CHECK(who->set(names[order[i]], values[order[i]][which[order[i]]], 1) == 0);
}
static void other(const struct contestant *who)
{
    for (unsigned i = 0; i < ORDER; i++)
        CHECK(who->set(names[order[i]], values[order[i]][which[order[i]] ^= 1], 1) == 0);
}
static void pair(const struct contestant *who)
{
    for (unsigned i = 0; i < ORDER; i++) {
        const char *name = extra[order[i] % 64];
        CHECK(who->set(name, "tcp://10.96.0.1:443", 1) == 0 && who->unset(name) == 0);
    }
}
static void newest(const struct contestant *who)
{
    for (unsigned i = 0; i < ORDER; i++)
        CHECK(who->set(one_more, "1", 1) == 0 && who->unset(one_more) == 0);
}
static void old(const struct contestant *who)
{
    for (unsigned i = 0; i < ORDER; i++)
        CHECK(who->unset(names[order[i]]) == 0 && who->set(names[order[i]], values[order[i]][which[order[i]]], 1) == 0);
}

/* A first run that is not counted, as what is done only once is no part of a call; then one that is. */
static void count(const char *name, loop *run, const struct contestant *who)
{
    run(who);
    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_ZERO_STATS;
    run(who);
    CALLGRIND_DUMP_STATS_AT(name);
    CALLGRIND_STOP_INSTRUMENTATION;
}

static void check_list(void)
{
    unsigned found;
    for (unsigned i = 0; i < n; i++) {
        const char *value = scan(names[i], &found);
        if (!value || found != entries || strcmp(value, values[i][which[i]]) != 0 || scan(misses[i], NULL))
            FAIL("%s is %s and should be %s; %u entries of %u", names[i], value ? value : "gone", values[i][which[i]], found, entries);
        expected[i] = value;
    }
}

static void *word_of(unsigned long key)
{
    char **end = environ;
    while (*end)
        end++;
    for (Elf64_auxv_t *pair = (Elf64_auxv_t *)(end + 1); pair->a_type != AT_NULL; pair++)
        if (pair->a_type == key)
            return &pair->a_un.a_val;
    FAIL("the auxiliary vector has no %lu", key);
}

/* Makes the stack that valgrind made like one that the kernel makes, and each run like every other. Must come first.
 *
 * Linux leaves the random bytes, arguments, variables and the file name in this order, and the library goes by that. Valgrind puts
 * the random bytes behind the variables, so the library would not take an inherited list for one. So what lies behind the variables
 * becomes the file name, and the random bytes are where the arguments begin: they have been read.
 *
 * Hashes are keyed by the random bytes. In some processes two names of a short list share a tag by chance, and each of their reads
 * takes some per cent more: here it is always the same bytes. */
static void like_every_other(char **argv)
{
    static const char fixed[16] = "the same always", file[] = "./c";
    char **random = word_of(AT_RANDOM), **name = word_of(AT_EXECFN), *last = NULL;
    for (char **entry = environ; *entry; entry++)
        last = *entry;
    char *behind = last + strlen(last) + 1;
    CHECK(behind + sizeof file <= *random + sizeof fixed && *random < *name && argv[0] + sizeof fixed <= environ[0]);
    memcpy(behind, file, sizeof file);
    memcpy(argv[0], fixed, sizeof fixed);
    *name = behind;
    *random = argv[0];
    CHECK(getauxval(AT_RANDOM) == (unsigned long)argv[0] && getauxval(AT_EXECFN) == (unsigned long)behind);
}

static void *sleep_on(void *nothing)
{
    for (;;)
        pause();
    return nothing;
}

int main(int argc, char **argv)
{
    CHECK(argc >= 4);
    n = (unsigned)atoi(argv[2]);
    CHECK(n >= 2 && n <= MOST_COUNTED);
    char **list = make_entries(n);
    if (argc > 4) {
        execve(argv[4], argv + 4, list);
        FAIL("cannot start %s (errno %d)", argv[4], errno);
    }
    char kind[64], library[4096];
    CHECK(snprintf(kind, sizeof kind, "%s", argv[1]) < (int)sizeof kind);
    CHECK(snprintf(library, sizeof library, "%s", argv[3]) < (int)sizeof library);
    like_every_other(argv);
    char *parked = strstr(kind, "-parked");
    if (parked)
        *parked = '\0';
    struct contestant who = strcmp(library, "libc") == 0 ? libc_itself() : ours_from(library);
    const struct contestant nothing = {.name = "nothing", .get = nothing_get, .set = nothing_set, .unset = nothing_unset};

    for (unsigned i = 0; i < n; i++) {
        name_into(names[i], i);
        absent_name_into(misses[i], i);
        value_into(values[i][0], i, 0);
        value_into(values[i][1], i, 1);
    }
    for (unsigned i = 0; i < 64; i++)
        name_into(extra[i], n + i);
    for (unsigned i = 0; i < ORDER; i++)
        order[i] = (uint16_t)(i % n);
    shuffle(order, ORDER);
    entries = n + make_list(kind, &who, list);
    entries += is_from_kernel(kind); /* valgrind's LD_PRELOAD, which it puts behind them */
    check_list();
    pthread_t thread;
    if (parked)
        CHECK(pthread_create(&thread, NULL, sleep_on, NULL) == 0);

    static const struct {
        const char *name;
        loop *run;
    } reads[] = {{"hit", hit}, {"miss", miss}, {"first", first}, {"middle", middle}},
      changes[] = {{"equal", equal}, {"other", other}, {"pair", pair}, {"newest", newest}, {"old", old}};
    for (unsigned i = 0; i < 4; i++) {
        char name[32];
        snprintf(name, sizeof name, "nothing %s", reads[i].name);
        count(name, reads[i].run, &nothing);
        count(reads[i].name, reads[i].run, &who);
    }
    if (strcmp(kind, "built") != 0 || n < LEAST_CHANGED || n > MOST_CHANGED)
        return 0;
    for (unsigned i = 0; i < 5; i++) {
        char name[32];
        snprintf(name, sizeof name, "nothing %s", changes[i].name);
        unsigned char before[MOST_COUNTED];
        memcpy(before, which, sizeof which);
        count(name, changes[i].run, &nothing);
        memcpy(which, before, sizeof which); /* nothing was changed */
        count(changes[i].name, changes[i].run, &who);
        check_list();
    }
    return 0;
}
