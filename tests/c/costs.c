/* What changes cost: time linear in the list, whatever the names are; memory by the distinct strings, whatever is repeated. Only ratios
 * of times count, each the least of several, and what looks wrong is measured again: others may have run meanwhile. (CPU time would not
 * need that, but some kernels count it in milliseconds.) */
#include "scenes.h"
#include <sys/mman.h>

enum {
    REPEAT = 5,
    ATTEMPTS = 4,
    LINEAR = 70, /* for ten times as many: 10 if linear, more where they leave the caches; 100 if all pairs are looked at */
    HOPELESS = 4 * LINEAR,
    LONG_NS = 500000000, /* no need to measure that again */
    SLACK_KIB = 1024,
};

/* A list of the program's: N strings of its own. */
static char **own_list(const char *form, int n, int from) {
    char **list = calloc((size_t)n + 2, sizeof *list);
    CHECK(list);
    for (int i = 0; i < n; i++)
        CHECK(asprintf(&list[i], form, i + from) > 0);
    return list;
}

/* Times of CALL in a child each: its first change of what the parent prepared. */
static uint64_t least_in_children(void (*call)(void)) {
    uint64_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK((void *)shared != MAP_FAILED);
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < REPEAT; i++) {
        pid_t child = fork();
        if (child == 0) {
            uint64_t start = now_ns();
            call();
            *shared = now_ns() - start;
            _exit(0);
        }
        must_succeed(child);
        if (*shared < least)
            least = *shared;
        if (least > LONG_NS)
            break;
    }
    CHECK(munmap(shared, 4096) == 0);
    return least;
}

static int attempt;

/* Compares the times of ten times as many. On the last attempt a time that is not linear fails. */
static int is_linear(const char *call, int n, uint64_t small, uint64_t large) {
    if (large <= LINEAR * small + 20000)
        return 1;
    if (attempt == ATTEMPTS - 1 || large > HOPELESS * small)
        FAIL("%s: %llu ns with %d variables, %llu with %d", call, (unsigned long long)small, n, (unsigned long long)large, 10 * n);
    return 0;
}

#define UNTIL_LINEAR(condition) \
    for (attempt = 0; !(condition); attempt++) \
        ;

static void add_one(void) { CHECK(setenv("REQUEST", "1", 1) == 0 && has("REQUEST", "1")); }
static void put_one(void) { CHECK(putenv("REQUEST=1") == 0 && has("REQUEST", "1")); }
static void remove_one(void) { CHECK(unsetenv("SERVICE_7_PORT") == 0 && has("SERVICE_7_PORT", NULL)); }
static void replace_one(void) { CHECK(setenv("SERVICE_7_PORT", "x", 1) == 0 && has("SERVICE_7_PORT", "x")); }
static void remove_the_first(void) {
    char name[64];
    CHECK(name_of(environ[0], name, sizeof name) && unsetenv(name) == 0 && has(name, NULL));
}
static void clear(void) { CHECK(clearenv() == 0 && environ != kernels_list); }
static void several(void) {
    add_one();
    remove_one();
    remove_the_first();
    CHECK(setenv("SERVICE_9_PORT", "x", 1) == 0 && setenv("REQUEST", "2", 1) == 0 && unsetenv("REQUEST") == 0);
}

static const struct call {
    const char *name;
    void (*call)(void);
} calls[] = {
    {"add", add_one},         {"put", put_one},         {"remove", remove_one}, {"remove the first", remove_the_first},
    {"replace", replace_one}, {"several", several},     {"clear", clear},
};
enum { CALLS = sizeof calls / sizeof *calls };

/* The first change of a process with many variables: started with N and with 10 N. */
static void measure_first_changes(uint64_t *times) {
    for (int i = 0; i < CALLS; i++)
        times[i] = least_in_children(calls[i].call);
    /* And in children of a process that has changed its own. */
    several();
    for (int i = 0; i < CALLS; i++)
        times[CALLS + i] = least_in_children(calls[i].call);
}

static void start_with_many(int n, const char *file) {
    struct rlimit stack;
    CHECK(getrlimit(RLIMIT_STACK, &stack) == 0);
    stack.rlim_cur = 64 << 20; /* a quarter of it is for arguments and variables */
    CHECK(setrlimit(RLIMIT_STACK, &stack) == 0);
    char **list = own_list("SERVICE_%d_PORT=10", n, 0);
    list[n] = (char *)library_entry();
    char *command[] = {(char *)self, (char *)mode, "many", (char *)file, NULL};
    execve(self, command, list);
    FAIL("no exec");
}

static void measured(int n, uint64_t *times) {
    char file[] = "/proc/self/fd/1000000";
    int memory = memfd_create("times", 0);
    CHECK(memory >= 0 && ftruncate(memory, 4096) == 0);
    snprintf(file, sizeof file, "/proc/self/fd/%d", memory);
    pid_t child = fork();
    if (child == 0)
        start_with_many(n, file);
    must_succeed(child);
    CHECK(pread(memory, times, 2 * CALLS * sizeof *times, 0) == 2 * CALLS * (ssize_t)sizeof *times);
    CHECK(close(memory) == 0);
}

static int first_changes(int n) {
    uint64_t small[2 * CALLS], large[2 * CALLS];
    measured(n, small);
    measured(10 * n, large);
    int linear = 1;
    for (int i = 0; i < 2 * CALLS; i++) {
        char what[64];
        snprintf(what, sizeof what, "%s, %s", i < CALLS ? "first change" : "first change in a child of who changed", calls[i % CALLS].name);
        linear &= is_linear(what, n, small[i], large[i]);
    }
    return linear;
}

static void first_changes_of_20000(void) { UNTIL_LINEAR(first_changes(2000)) }
static void first_changes_of_100000(void) { UNTIL_LINEAR(first_changes(10000)) }

/* Lists of the program's that are assigned, one after the other, over nothing, an equal list, one in another order, a different one. */
static uint64_t adoption(int n, const char *over) {
    char **lists[4];
    lists[0] = own_list("SERVICE_%d_PORT=10", n, 0);
    lists[1] = own_list("SERVICE_%d_PORT=10", n, 0);
    lists[2] = own_list("SERVICE_%d_PORT=11", n, n / 2);
    lists[3] = own_list("SERVICE_%d_PORT=10", n, 0);
    for (int i = 0; i < n / 2; i++) {
        char *other = lists[3][i];
        lists[3][i] = lists[3][n - 1 - i];
        lists[3][n - 1 - i] = other;
    }
    int first = strcmp(over, "nothing") == 0 ? -1 : 0;
    int second = strcmp(over, "a different one") == 0 ? 2 : strcmp(over, "one in another order") == 0 ? 3 : 1;
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < REPEAT; i++) {
        environ = first < 0 ? NULL : lists[first];
        CHECK(setenv("REQUEST", "1", 1) == 0);
        environ = lists[second];
        uint64_t start = now_ns();
        CHECK(setenv("OTHER", "1", 1) == 0);
        uint64_t time = now_ns() - start;
        least = time < least ? time : least;
        CHECK(length_of(environ) == (size_t)n + 1 && has("REQUEST", NULL));
        if (least > LONG_NS)
            break;
    }
    environ = kernels_list;
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < n; k++)
            free(lists[i][k]);
        free(lists[i]);
    }
    return least;
}

static void adoptions(void) {
    static const char *const over[] = {"nothing", "an equal one", "one in another order", "a different one"};
    for (int i = 0; i < 4; i++)
        for (int n = 1000; n <= 10000; n *= 10)
            UNTIL_LINEAR(is_linear(over[i], n, adoption(n, over[i]), adoption(10 * n, over[i])))
}

static void adoptions_with_threads(void) {
    have_a_second_thread();
    adoptions();
}

/* A removal, taken back by the saved head, and the variable set again, in a list of N. */
static uint64_t restored(int n) {
    uint64_t least = UINT64_MAX;
    CHECK(clearenv() == 0);
    set_numbered("N", 0, n);
    for (int i = 0; i < REPEAT; i++) {
        uint64_t start = now_ns();
        for (int k = 0; k < 20; k++) {
            char **saved = environ;
            unset_numbered("N", n / 2 + k, n / 2 + k + 1);
            environ = saved;
            set_numbered("N", n / 2 + k, n / 2 + k + 1);
        }
        uint64_t time = now_ns() - start;
        least = time < least ? time : least;
        CHECK(length_of(environ) == (size_t)n);
    }
    return least;
}

static void restored_lists(void) { UNTIL_LINEAR(is_linear("restored", 1000, restored(1000), restored(10000))) }

/* After a mass removal the rest costs what a small list costs. */
static uint64_t changes_of_a_small_list(void) {
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < REPEAT; i++) {
        uint64_t start = now_ns();
        for (int k = 0; k < 5000; k++)
            CHECK(setenv("N3", k & 1 ? "x" : "y", 1) == 0 && setenv("N7", "1", 1) == 0 && unsetenv("N7") == 0 && has("ABSENT", NULL));
        uint64_t time = now_ns() - start;
        least = time < least ? time : least;
    }
    return least;
}

static void mass_removal(void) {
    CHECK(clearenv() == 0);
    set_numbered("N", 0, 10);
    uint64_t small = changes_of_a_small_list();
    for (int order = 0; order < 3; order++) {
        set_numbered("M", 0, 8000);
        for (int i = 0; i < 8000; i++) {
            int k = order == 0 ? i : order == 1 ? 7999 - i : (int)((unsigned)i * 4001u % 8000u);
            unset_numbered("M", k, k + 1);
        }
        uint64_t after = changes_of_a_small_list();
        for (int again = 1; again < ATTEMPTS && after > 8 * small; again++)
            after = changes_of_a_small_list();
        if (after > 8 * small)
            FAIL("%llu ns before, %llu after 8,000 others came and went", (unsigned long long)small, (unsigned long long)after);
    }
}

static void after_a_mass_removal(void) { mass_removal(); }
static void after_a_mass_removal_with_threads(void) {
    have_a_second_thread();
    mass_removal();
}

/* Names that collide in one way or another of hashing them. */
enum { FAMILY = 2048, NAME = 160 };

static char family[FAMILY][NAME];

/* Pairs with one sum of their two words times two odd factors, to 31 bits: found by sorting one half of the sums. */
static uint64_t random_state = 88172645463325252u;

static uint64_t letters(void) {
    uint64_t random = next_random(&random_state), word = 0;
    for (int i = 0; i < 8; i++)
        word |= (uint64_t)('A' + (random >> 8 * i & 15)) << 8 * i;
    return word;
}

struct half {
    uint64_t word, product;
};

static int by_product(const void *a, const void *b) {
    uint64_t x = ((const struct half *)a)->product, y = ((const struct half *)b)->product;
    return x < y ? -1 : x > y;
}

static int sums_of_words(void) {
    /* The fractions of the square roots of 2, 3, 5 and 7, of which hashes are made; a short name's words are taken twice. */
    const uint64_t first = 0x6a09e667f3bcc909u + 0x3c6ef372fe94f82bu, second = 0xbb67ae8584caa73bu + 0xa54ff53a5f1d36f0u;
    enum { HALVES = 1 << 18, PAIRS = 63 };
    struct half *halves = malloc(HALVES * sizeof *halves);
    CHECK(halves);
    for (int i = 0; i < HALVES; i++) {
        halves[i].word = letters();
        halves[i].product = halves[i].word * second;
    }
    qsort(halves, HALVES, sizeof *halves, by_product);
    for (int i = 0; i < PAIRS; i++) {
        uint64_t a = letters(), b = letters();
        uint64_t sum = (a * first + b * second) & ~((UINT64_C(1) << 33) - 1);
        memcpy(family[2 * i], &a, 8), memcpy(family[2 * i] + 8, &b, 8);
        for (;;) {
            uint64_t other = letters(), need = sum - other * first;
            int low = 0, high = HALVES;
            while (low < high) {
                int middle = (low + high) / 2;
                if (halves[middle].product < need)
                    low = middle + 1;
                else
                    high = middle;
            }
            if (low < HALVES && halves[low].product - need < UINT64_C(1) << 33 && other != a) {
                memcpy(family[2 * i + 1], &other, 8), memcpy(family[2 * i + 1] + 8, &halves[low].word, 8);
                break;
            }
        }
    }
    free(halves);
    return 2 * PAIRS;
}

/* Hashes that multiply by 33, or by 31, and add a byte: blocks of two bytes with one value. */
static int blocks(const char *one, const char *other) {
    for (int i = 0; i < FAMILY; i++)
        for (int bit = 0; bit < 11; bit++)
            strcat(family[i], i >> bit & 1 ? one : other);
    return FAMILY;
}
static int times_33(void) { return blocks("Ez", "FY"); }
static int times_31(void) { return blocks("Aa", "BB"); }

/* Names that differ in one place only: in front, in the middle, at the end, of a length. */
static int differing_at(int at, int length) {
    for (int i = 0; i < FAMILY; i++) {
        memset(family[i], 'n', (size_t)length);
        char digits[8];
        snprintf(digits, sizeof digits, "%04d", i);
        memcpy(family[i] + at, digits, 4);
    }
    return FAMILY;
}
static int in_front(void) { return differing_at(0, 100); }
static int in_the_middle(void) { return differing_at(48, 100); }
static int behind_32(void) { return differing_at(32, 72); }
static int at_the_end(void) { return differing_at(96, 100); }
static int in_the_middle_of_40(void) { return differing_at(18, 40); }
static int in_the_middle_of_20(void) { return differing_at(8, 20); }

/* Words in another order: what adds words up sees no difference. */
static int words_in_another_order(void) {
    static const char words[6][9] = {"WORD_ONE", "WORD_TWO", "WORDS_03", "WORDS_04", "WORDS_05", "WORDS_06"};
    int n = 0;
    for (int a = 0; a < 6; a++)
        for (int b = 0; b < 6; b++)
            for (int c = 0; c < 6; c++)
                for (int d = 0; d < 6; d++)
                    if (a != b && a != c && a != d && b != c && b != d && c != d)
                        snprintf(family[n++], NAME, "%s%s%s%s", words[a], words[b], words[c], words[d]);
    return n;
}

/* One letter, of every length: prefixes of each other. */
static int prefixes_of_each_other(void) {
    for (int i = 0; i < NAME - 1; i++)
        memset(family[i], 'P', (size_t)i + 1);
    return NAME - 1;
}

static const struct family {
    const char *name;
    int (*make)(void);
} families[] = {
    {"sums of words", sums_of_words},
    {"times 33", times_33},
    {"times 31", times_31},
    {"differing in front", in_front},
    {"differing in the middle", in_the_middle},
    {"differing behind 32 bytes", behind_32},
    {"differing at the end", at_the_end},
    {"differing in the middle of 40", in_the_middle_of_40},
    {"differing in the middle of 20", in_the_middle_of_20},
    {"words in another order", words_in_another_order},
    {"prefixes of each other", prefixes_of_each_other},
};

/* All kinds of changes over N names, half of them put; then lists that are adopted over what is there, without room for it. */
static uint64_t all_changes(int n) {
    static char *own[2 * FAMILY + 4], *put[FAMILY], *nines[FAMILY], *others[FAMILY];
    for (int i = 0; i < n; i++) {
        CHECK(asprintf(&put[i], "%s=1", family[i]) > 0 && asprintf(&nines[i], "%s=9", family[i]) > 0);
        CHECK(asprintf(&others[i], "OTHER_%d=9", i) > 0);
    }
    uint64_t least = UINT64_MAX;
    for (int round = 0; round < 3; round++) {
        uint64_t start = now_ns();
        CHECK(clearenv() == 0 && setenv("FILLER", "1", 1) == 0);
        for (int i = 0; i < n; i += 2)
            CHECK(setenv(family[i], "1", 1) == 0);
        for (int i = 1; i < n; i += 2)
            CHECK(putenv(put[i]) == 0);
        CHECK(length_of(environ) == (size_t)n + 1);
        for (int way = 0; way < 3; way++) {
            int used = 0;
            for (int i = 0; i < n; i++)
                if (way == 2 || i % 2 == way)
                    own[used++] = nines[i];
            for (int i = 0; way != 2 && i < n / 2; i++)
                own[used++] = others[i];
            own[used] = NULL;
            environ = own;
            CHECK(setenv("NEW", "1", 1) == 0 && length_of(environ) == (size_t)used + 1);
            for (int i = 0; i < n; i += 7)
                CHECK(has(family[i], way == 2 || i % 2 == way ? "9" : NULL));
        }
        for (int i = 0; i < n; i += 3)
            CHECK(setenv(family[i], "3", 1) == 0 && has(family[i], "3"));
        for (int i = 0; i < n; i++)
            CHECK(unsetenv(family[i]) == 0);
        CHECK(length_of(environ) == 1);
        uint64_t time = now_ns() - start;
        least = time < least ? time : least;
    }
    for (int i = 0; i < n; i++)
        free(put[i]), free(nines[i]), free(others[i]);
    return least;
}

/* Beside as many names of one length that nobody chose. */
static void is_as_fast_as_others(const struct family *f) {
    for (int again = 0;; again++) {
        memset(family, 0, sizeof family);
        int n = f->make();
        uint64_t chosen = all_changes(n);
        size_t length = strlen(family[n / 2]);
        memset(family, 0, sizeof family);
        uint64_t state = 77;
        for (int i = 0; i < n; i++) {
            for (size_t k = 0; k < length; k++)
                family[i][k] = (char)('A' + (next_random(&state) >> 20) % 26);
            snprintf(family[i] + (length > 6 ? length - 6 : 0), 8, "%d", i);
        }
        uint64_t random = all_changes(n);
        /* A name that its owner may change (putenv) is compared byte by byte: as far as it is the same. */
        if (chosen <= (10 + length) * random)
            return;
        if (again == ATTEMPTS)
            FAIL("%s: %llu ns, %llu for other names", f->name, (unsigned long long)chosen, (unsigned long long)random);
    }
}

static void chosen_names(void) {
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        pid_t child = fork();
        if (child == 0) {
            is_as_fast_as_others(&families[i]);
            _exit(0);
        }
        int status;
        CHECK(child > 0 && waitpid(child, &status, 0) == child);
        if (status)
            FAIL("%s: status %#x", families[i].name, status);
    }
}

/* Memory. */

static void values_in_turn(int values, int rounds) {
    long rss = 0;
    char value[32];
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < values; i++) {
            snprintf(value, sizeof value, "%d", i);
            CHECK(setenv("COUNTER", value, 1) == 0);
        }
        if (round == 0)
            rss = status_kib("VmRSS:");
    }
    long grown = status_kib("VmRSS:") - rss;
    if (grown > SLACK_KIB)
        FAIL("%d rounds of %d values took %ld KiB more than the first", rounds - 1, values, grown);
}

static void values_8000_in_turn(void) { values_in_turn(8000, 1500); }
static void values_100000_in_turn(void) { values_in_turn(100000, 6); }

static void names_in_turn(void) {
    long rss = 0;
    for (int round = 0; round < 30; round++) {
        set_numbered("N", 0, 3000);
        unset_numbered("N", 0, 3000);
        if (round == 1)
            rss = status_kib("VmRSS:");
    }
    CHECK(status_kib("VmRSS:") - rss < SLACK_KIB);
}

static void a_value_cut_up_each_round(void) {
    uint64_t first = UINT64_MAX, last = UINT64_MAX;
    for (int part = 0; part < 10; part++) {
        uint64_t start = now_ns();
        for (int i = 0; i < 4000; i++) {
            CHECK(setenv("L", "/usr/local/bin:/usr/bin:/bin", 1) == 0 && has("L", "/usr/local/bin:/usr/bin:/bin"));
            CHECK(strtok(getenv("L"), ":") && has("L", "/usr/local/bin"));
        }
        uint64_t time = now_ns() - start;
        first = part < 5 && time < first ? time : first;
        last = part >= 5 && time < last ? time : last;
    }
    if (last > 8 * first)
        FAIL("4,000 rounds took %llu ns at first, %llu at last", (unsigned long long)first, (unsigned long long)last);
}

static long mappings(void) {
    FILE *file = fopen("/proc/self/maps", "r");
    CHECK(file);
    long lines = 0;
    for (int c; (c = getc(file)) != EOF;)
        lines += c == '\n';
    CHECK(fclose(file) == 0);
    return lines;
}

/* Each generation is forked by the one before, which waits for it, and changes its environment. */
static void generations_do_not_pile_up(void) {
    enum { GENERATIONS = 150 };
    char value[16];
    set_numbered("N", 0, 30);
    long size = 0, maps = 0;
    for (int i = 0; i < GENERATIONS; i++) {
        pid_t child = fork();
        if (child > 0) {
            int status;
            _exit(waitpid(child, &status, 0) != child || status != 0);
        }
        CHECK(child == 0);
        snprintf(value, sizeof value, "%d", i);
        CHECK(setenv("GENERATION", value, 1) == 0 && unsetenv("N3") == 0 && setenv("N3", "1", 1) == 0);
        CHECK(has("GENERATION", value) && length_of(environ) == 33);
        if (i == 2) {
            size = status_kib("VmSize:");
            maps = mappings();
        }
    }
    list_is_sound();
    long grown = status_kib("VmSize:") - size, more = mappings() - maps;
    if (grown > SLACK_KIB || more > 10)
        FAIL("%d generations took %ld KiB in %ld mappings", GENERATIONS, grown, more);
}

static void a_large_value_is_mapped_once(void) {
    enum { LENGTH = 48 << 20 };
    char *value = malloc(LENGTH + 1);
    CHECK(value);
    memset(value, 'x', LENGTH);
    value[LENGTH] = 0;
    CHECK(setenv("A", "1", 1) == 0);
    long before = status_kib("VmSize:");
    CHECK(setenv("LARGE", value, 1) == 0);
    long grown = status_kib("VmSize:") - before;
    if (grown > LENGTH / 1024 * 5 / 4)
        FAIL("%d KiB took %ld KiB of addresses", LENGTH / 1024, grown);
    for (int i = 0; i < 10; i++)
        CHECK(unsetenv("LARGE") == 0 && setenv("LARGE", value, 1) == 0 && strlen(getenv("LARGE")) == LENGTH);
    CHECK(status_kib("VmSize:") - before - grown < SLACK_KIB);
}

static const struct scene scenes[] = {
    {"first_changes_of_20000", first_changes_of_20000, "A=1", EVERYWHERE},
    {"first_changes_of_100000", first_changes_of_100000, "A=1", EVERYWHERE},
    {"adoptions", adoptions, "A=1", EVERYWHERE},
    {"adoptions_with_threads", adoptions_with_threads, "A=1", EVERYWHERE},
    {"restored_lists", restored_lists, "A=1", LIBRARY_ONLY},
    {"after_a_mass_removal", after_a_mass_removal, "A=1", EVERYWHERE},
    {"after_a_mass_removal_with_threads", after_a_mass_removal_with_threads, "A=1", EVERYWHERE},
    {"chosen_names", chosen_names, "A=1", LIBRARY_ONLY},
    {"values_8000_in_turn", values_8000_in_turn, "A=1", LIBRARY_ONLY},
    {"values_100000_in_turn", values_100000_in_turn, "A=1", LIBRARY_ONLY},
    {"names_in_turn", names_in_turn, "A=1", EVERYWHERE},
    {"a_value_cut_up_each_round", a_value_cut_up_each_round, "A=1", EVERYWHERE},
    {"generations_do_not_pile_up", generations_do_not_pile_up, "A=1", EVERYWHERE},
    {"a_large_value_is_mapped_once", a_large_value_is_mapped_once, "A=1", LIBRARY_ONLY},
};

int main(int argc, char **argv, char **envp) {
    if (argc == 4 && strcmp(argv[2], "many") == 0) {
        self = argv[0];
        mode = argv[1];
        kernels_list = envp;
        if (with_library())
            must_be_preloaded();
        uint64_t times[2 * CALLS];
        measure_first_changes(times);
        FILE *file = fopen(argv[3], "w");
        CHECK(file && fwrite(times, sizeof times, 1, file) == 1 && fclose(file) == 0);
        return 0;
    }
    return RUN_SCENES(scenes);
}
