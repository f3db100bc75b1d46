/* Readers of every kind beside a writer of every kind: one load a slot, upwards; count and copy; two loads a slot; downwards from a count;
 * in any order; getenv. A variable that nobody touches is found, with its value, by each read into which few changes fell; no read meets a
 * null behind a slot it has seen filled, and no list is longer than it was when it was counted.
 *
 * Twice: in turns, where a change falls between two loads of a read by a random number, so that neither the machine nor its load has a
 * part in it; and with threads. After the mode: how many reads for each pair. */
#include "scenes.h"

enum {
    BYSTANDERS = 16,
    FEW = 14, /* changes: each two of them may take another array, and of those there are eight */
    DEFAULT_READS = 3000,
};

static char *const volatile *volatile *const head = (char *const volatile *volatile *)(void *)&environ;
static atomic_int stop;
static atomic_ulong changes; /* begun */
static uint64_t random_state = 99;

static void change(const char *name, const char *value) {
    atomic_fetch_add(&changes, 1);
    CHECK((value ? setenv(name, value, 1) : unsetenv(name)) == 0);
}

static void numbered(char name[16], const char *prefix, unsigned long i) { snprintf(name, 16, "%s%lu", prefix, i); }

/* Each makes its change number STEP. */

static void the_newest_comes_and_goes(unsigned long step) { change("NEWEST", step & 1 ? NULL : "1"); }

static void an_old_one_goes_and_comes(unsigned long step) { change("V3", step & 1 ? "1" : NULL); }

static void old_ones_in_turn(unsigned long step) {
    char name[16];
    numbered(name, "V", step / 2 % BYSTANDERS);
    change(name, step & 1 ? "1" : NULL);
}

static void two_at_a_time(unsigned long step) {
    char name[16], other[16];
    numbered(name, "V", step / 6 * 7 % BYSTANDERS);
    numbered(other, "V", (step / 6 * 7 + 5) % BYSTANDERS);
    switch (step % 6) {
    case 0: change(name, NULL); break;
    case 1: change(other, NULL); break;
    case 2: change("NEWEST", "1"); break;
    case 3: change(name, "1"); break;
    case 4: change(other, "1"); break;
    case 5: change("NEWEST", NULL); break;
    }
}

static void replacements(unsigned long step) {
    char name[16];
    numbered(name, "V", step % BYSTANDERS);
    change(name, step & 16 ? "one" : "a longer one");
}

static void removal_and_replacement(unsigned long step) {
    char name[16];
    numbered(name, "V", step / 3 % BYSTANDERS);
    switch (step % 3) {
    case 0: change(name, NULL); break;
    case 1: change("REPLACED", step & 8 ? "1" : "2"); break;
    case 2: change(name, "1"); break;
    }
}

static void growth_and_shrinking(unsigned long step) {
    char name[16];
    unsigned long n = step % 400;
    numbered(name, "G", n < 200 ? n : 399 - n);
    change(name, n < 200 ? "1" : NULL);
}

static void growth_and_removal_of_the_oldest(unsigned long step) {
    char name[16];
    numbered(name, "G", step % 200);
    change(name, step % 400 < 200 ? "1" : NULL);
}

static void anything(unsigned long step) {
    char name[16];
    uint64_t r = (step + 1) * 0x9e3779b97f4a7c15u;
    numbered(name, "V", r >> 59 & 15);
    change(name, r >> 40 & 1 ? NULL : r >> 41 & 1 ? "1" : "2");
}

static const struct writer {
    const char *name;
    void (*change)(unsigned long);
} writers[] = {
    {"the newest comes and goes", the_newest_comes_and_goes},
    {"an old one goes and comes", an_old_one_goes_and_comes},
    {"old ones in turn", old_ones_in_turn},
    {"two at a time", two_at_a_time},
    {"replacements", replacements},
    {"removal and replacement", removal_and_replacement},
    {"growth and shrinking", growth_and_shrinking},
    {"growth, the oldest go", growth_and_removal_of_the_oldest},
    {"anything", anything},
};

/* In turns: what may happen between two loads. */
static const struct writer *in_turn;
static unsigned long step;
static int changes_left;
static unsigned rarely;

static void between(void) {
    if (in_turn && changes_left > 0 && next_random(&random_state) % rarely == 0) {
        changes_left--;
        in_turn->change(step++);
    }
}

static void *write_on(void *writer) {
    for (unsigned long i = 0; !atomic_load(&stop); i++)
        ((const struct writer *)writer)->change(i);
    return NULL;
}

/* The bystanders met in a read, as bits; each has its own name as value. */
static unsigned met(const char *entry) {
    if (entry[0] != 'B' || entry[1] != 'Y')
        return 0;
    int i = atoi(entry + 2);
    char wanted[32];
    snprintf(wanted, sizeof wanted, "BY%d=BY%d", i, i);
    if (strcmp(entry, wanted) != 0)
        FAIL("a bystander is %s", entry);
    return 1u << i;
}

static const unsigned all = (1u << BYSTANDERS) - 1;

static size_t counted(char *const volatile *list) {
    size_t n = 0;
    while (list[n]) {
        n++;
        between();
    }
    return n;
}

static unsigned upwards(void) {
    unsigned seen = 0;
    char *const volatile *slot = *head;
    for (char *entry; between(), entry = *slot; slot++)
        seen |= met(entry);
    return seen;
}

static unsigned count_and_copy(void) {
    static char *copy[4096];
    char *const volatile *list = *head;
    size_t n = counted(list), i = 0;
    CHECK(n < 4000);
    for (char *entry; between(), entry = list[i]; i++) {
        if (i >= n)
            FAIL("%zu entries were counted, the copy is longer", n);
        copy[i] = entry;
    }
    unsigned seen = 0;
    while (i-- > 0)
        seen |= met(copy[i]);
    return seen;
}

/* As who writes *p twice: the second load must not give NULL. */
static unsigned two_loads(void) {
    unsigned seen = 0;
    for (char *const volatile *slot = *head; *slot; slot++) {
        between();
        char *entry = *slot;
        if (!entry)
            FAIL("a null where an entry was");
        seen |= met(entry);
        between();
    }
    return seen;
}

/* As musl's getenv: the name by one load, the value by the next. One with another's value counts as missed. */
static unsigned name_and_value(void) {
    unsigned seen = 0, wrong = 0;
    for (char *const volatile *slot = *head; *slot; slot++) {
        between();
        char *entry = *slot;
        if (!entry || entry[0] != 'B' || entry[1] != 'Y')
            continue;
        int i = atoi(entry + 2);
        between();
        const char *value = *slot;
        if (!value)
            FAIL("a null where an entry was");
        value += strcspn(value, "=") + 1;
        if (value[0] == 'B' && atoi(value + 2) == i)
            seen |= 1u << i;
        else
            wrong |= 1u << i;
    }
    return seen & ~wrong;
}

static unsigned downwards(void) {
    unsigned seen = 0;
    char *const volatile *list = *head;
    for (size_t i = counted(list); i-- > 0;) {
        between();
        char *entry = list[i];
        if (entry)
            seen |= met(entry);
    }
    return seen;
}

static unsigned in_any_order(void) {
    unsigned seen = 0;
    char *const volatile *list = *head;
    size_t n = counted(list);
    if (n == 0)
        return 0;
    /* Every slot once: steps that have no divisor in common with n. */
    size_t step = next_random(&random_state) % n + 1, at = next_random(&random_state) % n;
    for (size_t a = step, b = n; b != 1;) {
        size_t rest = a % b;
        a = b, b = rest;
        if (b == 0) {
            if (a == 1)
                break;
            step = step % n + 1, a = step, b = n;
        }
    }
    for (size_t i = 0; i < n; i++, at = (at + step) % n) {
        between();
        char *entry = list[at];
        if (entry)
            seen |= met(entry);
    }
    return seen;
}

static unsigned with_getenv(void) {
    unsigned seen = 0;
    char name[16];
    for (int i = 0; i < BYSTANDERS; i++) {
        numbered(name, "BY", (unsigned long)i);
        between();
        const char *value = getenv(name);
        if (value && strcmp(value, name) != 0)
            FAIL("%s is %s", name, value);
        seen |= value ? 1u << i : 0;
    }
    return seen;
}

static const struct reader {
    const char *name;
    unsigned (*read)(void);
    int always; /* however many changes fall into a read */
} readers[] = {
    {"upwards", upwards, 1},       {"count and copy", count_and_copy, 1}, {"two loads", two_loads, 1}, {"name and value", name_and_value, 0},
    {"downwards", downwards, 0},   {"in any order", in_any_order, 0},     {"getenv", with_getenv, 1},
};

static long reads_from_arguments(void) {
    long reads = scene_arguments[0] ? atol(scene_arguments[0]) : DEFAULT_READS;
    CHECK(reads > 0);
    return reads;
}

static void fresh_list(void) {
    char name[16];
    CHECK(clearenv() == 0);
    for (unsigned long i = 0; i < BYSTANDERS; i++) {
        numbered(name, "V", i);
        CHECK(setenv(name, "1", 1) == 0);
        numbered(name, "BY", i);
        CHECK(setenv(name, name, 1) == 0);
    }
    CHECK(setenv("REPLACED", "0", 1) == 0);
}

/* Before a read: brings a bystander to the front, whence removals move it. */
static void bring_to_the_front(void) {
    char name[16];
    numbered(name, "BY", next_random(&random_state) >> 20 & (BYSTANDERS - 1));
    CHECK(unsetenv(name) == 0 && setenv(name, name, 1) == 0);
}

static void report(const struct reader *reader, const struct writer *writer, const char *how, long reads, unsigned long beside, long missed) {
    printf("%-14s | %-25s | %-8s | %8ld reads, %8lu changes | %ld missed\n", reader->name, writer->name, how, reads, beside, missed);
    fflush(stdout);
    if (missed > 0)
        FAIL("%s beside \"%s\", %s: %ld of %ld reads missed a variable", reader->name, writer->name, how, missed, reads);
}

static void read_in_turns(const struct reader *reader, const struct writer *writer) {
    long wanted = 10 * reads_from_arguments(), missed = 0;
    fresh_list();
    in_turn = writer;
    for (long reads = 0; reads < wanted; reads++) {
        /* Few changes close together, or many over the whole read. */
        changes_left = 1 + (int)(next_random(&random_state) >> 20) % FEW;
        rarely = reads % 3 == 0 ? 1 : reads % 3 == 1 ? 4 : 30;
        /* From any state: some changes between the reads, too. */
        for (unsigned i = next_random(&random_state) >> 20 & 7; i > 0; i--)
            writer->change(step++);
        if (next_random(&random_state) >> 20 & 1)
            bring_to_the_front();
        missed += reader->read() != all;
    }
    in_turn = NULL;
    list_is_sound();
    report(reader, writer, "in turns", wanted, step, missed);
}

static void read_beside(const struct reader *reader, const struct writer *writer) {
    long wanted = reads_from_arguments(), reads = 0, missed = 0;
    fresh_list();
    unsigned long first = atomic_load(&changes);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, write_on, (void *)(uintptr_t)writer) == 0);
    while (reads < wanted || atomic_load(&changes) - first < (unsigned long)wanted / 4) {
        if (reads % 16 == 0)
            bring_to_the_front();
        unsigned long before = atomic_load(&changes);
        unsigned seen = reader->read();
        reads++;
        missed += seen != all && (reader->always || atomic_load(&changes) - before <= FEW);
    }
    atomic_store(&stop, 1);
    CHECK(pthread_join(thread, NULL) == 0);
    report(reader, writer, "threads", reads, atomic_load(&changes) - first, missed);
}

static void beside_all_writers(const char *name) {
    int failed = 0;
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++)
        for (size_t k = 0; k < sizeof writers / sizeof *writers && strcmp(readers[i].name, name) == 0; k++)
            for (int threads = 0; threads < 2; threads++) {
                pid_t child = fork();
                if (child == 0) {
                    limit_cpu(CPU_SECONDS + (rlim_t)reads_from_arguments() / 500); /* as each is told how much to do */
                    have_a_second_thread();
                    (threads ? read_beside : read_in_turns)(&readers[i], &writers[k]);
                    _exit(0);
                }
                int status;
                CHECK(child > 0 && waitpid(child, &status, 0) == child);
                if (status)
                    failed += fprintf(stderr, "%s beside \"%s\": status %#x\n", name, writers[k].name, status) > 0;
            }
    if (failed)
        FAIL("%d pairs failed", failed);
}

static void one_load_upwards(void) { beside_all_writers("upwards"); }
static void counted_and_copied(void) { beside_all_writers("count and copy"); }
static void loaded_twice(void) { beside_all_writers("two loads"); }
static void name_first_then_value(void) { beside_all_writers("name and value"); }
static void downwards_from_a_count(void) { beside_all_writers("downwards"); }
static void in_whatever_order(void) { beside_all_writers("in any order"); }
static void by_getenv(void) { beside_all_writers("getenv"); }

/* A process that never had a second thread: a walk of its own, across its own changes, misses nothing that it does not remove. */
static void by_one_thread_in_turns(void) {
    for (size_t k = 0; k < sizeof writers / sizeof *writers; k++) {
        pid_t child = fork();
        if (child == 0) {
            read_in_turns(&readers[0], &writers[k]);
            _exit(0);
        }
        must_succeed(child);
    }
}

/* Lists are emptied by clearenv and filled again: a walk that loads each slot twice never meets a null behind an entry. */
static void fill_or_clear(unsigned long at) {
    char name[16];
    numbered(name, "V", at % 6);
    if (at % 6 < 5) {
        change(name, "1");
    } else {
        atomic_fetch_add(&changes, 1);
        CHECK(clearenv() == 0);
    }
}

static const struct writer filler = {"clearenv", fill_or_clear};

static void some_work(void) {
    for (volatile int i = 0; i < 50 && !in_turn; i++)
        ;
}

static long entries_met(void) {
    long n = 0;
    for (char *const volatile *slot = *head; *slot; slot++) {
        between();
        some_work();
        const char *entry = *slot;
        if (!entry)
            FAIL("a null where an entry was, after %ld entries", n);
        CHECK(*entry == 'V');
        n++;
        between();
    }
    return n;
}

static void beside_clearenv(void) {
    long wanted = reads_from_arguments() * 10, entries = 0;
    have_a_second_thread();
    CHECK(clearenv() == 0);
    in_turn = &filler;
    for (long i = 0; i < wanted; i++) {
        changes_left = 1 + (int)(next_random(&random_state) >> 20) % FEW;
        rarely = i & 1 ? 1 : 4;
        filler.change(step++);
        entries += entries_met();
        changes_left = FEW;
        count_and_copy();
    }
    in_turn = NULL;
    printf("two loads, count and copy beside clearenv, in turns: %ld entries beside %lu changes\n", entries, step);
    pthread_t thread;
    CHECK(clearenv() == 0);
    CHECK(pthread_create(&thread, NULL, write_on, (void *)(uintptr_t)&filler) == 0);
    unsigned long first = atomic_load(&changes);
    entries = 0;
    while (atomic_load(&changes) - first < 10 * (unsigned long)wanted) {
        entries += entries_met();
        count_and_copy();
    }
    atomic_store(&stop, 1);
    CHECK(pthread_join(thread, NULL) == 0);
    printf("two loads, count and copy beside clearenv, threads: %ld entries beside %lu changes\n", entries, atomic_load(&changes) - first);
}

static const struct scene scenes[] = {
    {"one_load_upwards", one_load_upwards, "A=1", LIBRARY_ONLY},
    {"counted_and_copied", counted_and_copied, "A=1", LIBRARY_ONLY},
    {"loaded_twice", loaded_twice, "A=1", LIBRARY_ONLY},
    {"name_first_then_value", name_first_then_value, "A=1", LIBRARY_ONLY},
    {"downwards_from_a_count", downwards_from_a_count, "A=1", LIBRARY_ONLY},
    {"in_whatever_order", in_whatever_order, "A=1", LIBRARY_ONLY},
    {"by_getenv", by_getenv, "A=1", LIBRARY_ONLY},
    {"by_one_thread_in_turns", by_one_thread_in_turns, "A=1", LIBRARY_ONLY},
    {"beside_clearenv", beside_clearenv, "A=1", LIBRARY_ONLY},
};

int main(int argc, char **argv, char **envp) { return RUN_SCENES(scenes); }
