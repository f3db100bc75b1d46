/* Times getenv, setenv and unsetenv of several implementations in one run, round by round, and prints rows for `run`.
 *
 *   compare about                   which libc this is
 *   compare read|cold LIST N LIB    getenv among N variables; LIST: how they came about, see lists.h
 *   compare write alone|parked N LIB    setenv and unsetenv among N variables; parked: in a process with a second thread, which sleeps
 *   compare nothing N LIB           N variables from an empty environment
 *   compare threads N LIB           getenv on one and two threads, alone and beside a writer
 *
 * LIB is the preload library. The contestants are bound when the program runs, so that one binary serves all, and are called
 * through the same pointers by the same loops. They take turns in short rounds: whatever else the machine does hits them alike.
 * Which one begins changes with every round. Each single answer of getenv is
 * checked, also while it is timed; changes by what they return, and by the environment that they leave. */
#include "lists.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

enum {
    ROUNDS = 61,
    READ_ROUNDS = 31,      /* of each start: `run` starts this several times */
    BUILDS = 11,           /* rounds of `nothing`: each is long */
    ORDER = 8192,          /* calls until the sequence of names repeats itself, a power of two */
    FEWEST_CALLS = 1000,   /* of a round */
    MOST_CALLS = 50000,
    COLD_CALLS = 1001,
    EXTRA = 64,            /* variables that are added and removed */
    LATENCIES = 20000,     /* timed reads of a round */
    LATENCY_ROUNDS = 15,
};
static const double ROUND_NS = 1e6, THREADS_ROUND_NS = 8e6;

struct query {
    const char *name;
    const char *expected; /* the very address: the list does not change meanwhile */
};

static struct query *hits, *misses;
static uint16_t order[ORDER];
static unsigned variables, further; /* `further`: entries that are not asked for */

static char *copy(const char *text)
{
    char *memory = strdup(text);
    CHECK(memory);
    return memory;
}

static struct query *queries(void (*name)(char *, unsigned))
{
    struct query *made = calloc(variables, sizeof *made);
    CHECK(made);
    for (unsigned i = 0; i < variables; i++) {
        char text[NAME_ROOM];
        name(text, i);
        made[i].name = copy(text);
    }
    return made;
}

static void new_order(void)
{
    for (unsigned i = 0; i < ORDER; i++)
        order[i] = (uint16_t)(i % variables);
    shuffle(order, ORDER);
}

/* Takes down where each value is, after it was checked that the environment is the intended one and no other. */
static void look_up_expected(void)
{
    unsigned entries;
    for (unsigned i = 0; i < variables; i++) {
        char value[VALUE_ROOM];
        value_into(value, i, 0);
        hits[i].expected = scan(hits[i].name, &entries);
        if (entries != variables + further || !hits[i].expected || strcmp(hits[i].expected, value) != 0)
            FAIL("%s is not %s, or %u variables are not %u", hits[i].name, value, entries, variables + further);
        misses[i].expected = NULL;
        if (scan(misses[i].name, NULL))
            FAIL("%s is there", misses[i].name);
    }
}

static void prepare(unsigned n)
{
    CHECK(n >= 1 && n <= MOST);
    variables = n;
    number_state += n;
    hits = queries(name_into);
    misses = queries(absent_name_into);
    new_order();
}

/* The whole command line, that of a dynamic linker that was named explicitly included. */
static char **command_line(int argc, unsigned *before_us)
{
    static char text[1 << 16];
    FILE *file = fopen("/proc/self/cmdline", "r");
    CHECK(file);
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    char **words = calloc(length + 1, sizeof *words);
    CHECK(words);
    unsigned count = 0;
    for (char *word = text; word < text + length; word += strlen(word) + 1)
        words[count++] = word;
    CHECK(count >= (unsigned)argc);
    *before_us = count - (unsigned)argc;
    return words;
}

static const char executed[] = "executed-"; /* before the kind of list: it is there */

/* Starts this program anew with the variables as the kernel hands them over. Nobody has changed that list. */
static void inherit(int argc)
{
    unsigned at;
    char **words = command_line(argc, &at);
    static char kind[32];
    snprintf(kind, sizeof kind, "%s%s", executed, words[at + 2]);
    words[at + 2] = kind;
    execve(words[0], words, make_entries(variables));
    FAIL("cannot start %s again (errno %d)", words[0], errno);
}

/* ---- the finest clock there is, for single calls ---- */

static inline uint64_t ticks(void)
{
#if defined(__x86_64__)
    unsigned processor;
    _mm_lfence();
    uint64_t now = __rdtscp(&processor);
    _mm_lfence();
    return now;
#else
    return (uint64_t)now_ns();
#endif
}

static double ticks_per_ns(void)
{
    double start = now_ns();
    uint64_t first = ticks();
    while (now_ns() - start < 2e7) {
    }
    return (double)(ticks() - first) / (now_ns() - start);
}

/* What this thread used of a processor: nothing here waits, and what others get meanwhile is not counted. */
static double used_ns(void)
{
    struct timespec used;
    CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used) == 0);
    return (double)used.tv_sec * 1e9 + (double)used.tv_nsec;
}

/* ---- warm reads ---- */

static __attribute__((noinline, cold, noreturn)) void wrong(const char *name, const char *value)
{
    FAIL("a wrong answer for %s: %s", name, value ? value : "none");
}

static __attribute__((noinline)) double read_round(char *(*get)(const char *), const struct query *asked, unsigned calls)
{
    double start = used_ns();
    for (unsigned i = 0; i < calls; i++) {
        const struct query *query = &asked[order[i % ORDER]];
        const char *value = get(query->name);
        if (value != query->expected)
            wrong(query->name, value);
    }
    return (used_ns() - start) / calls;
}

static unsigned calls_for(double ns_per_call)
{
    double calls = ROUND_NS / ns_per_call;
    return calls < FEWEST_CALLS ? FEWEST_CALLS : calls > MOST_CALLS ? MOST_CALLS : (unsigned)calls;
}

/* Which variable is the list's entry `at`, or next to it where that one is none of those that are asked for. */
static unsigned hit_near(unsigned at)
{
    for (unsigned other = 0; other < 2; other++) {
        const char *entry = environ[other == 0 ? at : at == 0 ? 1 : at - 1];
        for (unsigned i = 0; i < variables; i++)
            if (entry < hits[i].expected && hits[i].expected <= entry + strlen(entry))
                return i;
    }
    FAIL("the entries about %u are none of ours", at);
}

static void read_case(const char *title, struct query *asked, const struct contestant *const pair[2], int mixed)
{
    double times[2][READ_ROUNDS];
    unsigned calls = calls_for(read_round(pair[1]->get, asked, FEWEST_CALLS));
    read_round(pair[0]->get, asked, FEWEST_CALLS);
    for (unsigned round = 0; round < READ_ROUNDS; round++) {
        if (mixed)
            new_order(); /* one order for both, learnt by no branch predictor */
        for (unsigned turn = 0; turn < 2; turn++) {
            unsigned who = (turn + round) % 2;
            times[who][round] = read_round(pair[who]->get, asked, calls);
        }
    }
    row(title, pair[0]->name, times[0], pair[1]->name, times[1], READ_ROUNDS);
}

static void read_cases(const struct contestant *const pair[2], const char *list)
{
    char title[128];
    snprintf(title, sizeof title, "getenv %s %u hit", list, variables);
    read_case(title, hits, pair, 1);
    snprintf(title, sizeof title, "getenv %s %u miss", list, variables);
    read_case(title, misses, pair, 1);
    /* One name over and over, as `getenv("TZ")` in each localtime. */
    static const char *const places[] = {"first", "middle", "last"};
    for (unsigned place = 0; place < 3; place++) {
        unsigned i = hit_near((variables + further - 1) * place / 2);
        for (unsigned at = 0; at < ORDER; at++)
            order[at] = (uint16_t)i;
        snprintf(title, sizeof title, "getenv %s %u %s entry", list, variables, places[place]);
        read_case(title, hits, pair, 0);
    }
}

/* ---- cold reads: nothing of the environment, the code or the address translation is in a cache ---- */

#if defined(__x86_64__)
enum { LINE = 64, PAGE = 4096, WALK_PAGES = 8192, MOST_RANGES = 256 };
static struct range {
    char *from, *to;
} ranges[MOST_RANGES];
static unsigned range_count;
static char *walked;

/* All that is mapped and readable: each library's code and data, heap, stack, and whatever a contestant has mapped for itself.
 * So nobody must know where an implementation keeps its data. */
static void find_ranges(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(maps);
    char text[512];
    while (fgets(text, sizeof text, maps)) {
        unsigned long from, to;
        char rights[8];
        CHECK(sscanf(text, "%lx-%lx %7s", &from, &to, rights) == 3);
        if (rights[0] != 'r' || strstr(text, "[v") || ((char *)from <= walked && walked < (char *)to))
            continue;
        CHECK(range_count < MOST_RANGES);
        ranges[range_count++] = (struct range){(char *)from, (char *)to};
    }
    fclose(maps);
}

static void evict(void)
{
    for (unsigned i = 0; i < range_count; i++)
        for (char *line = ranges[i].from; line < ranges[i].to; line += LINE)
            _mm_clflush(line);
    /* More pages than there are entries for address translation. */
    for (unsigned i = 0; i < WALK_PAGES; i++)
        *(volatile char *)(walked + i * PAGE + i % 64 * LINE);
    _mm_mfence();
}

/* Ticks. Both contestants pay the same for the two readings of the clock, which stay in the figures. */
static __attribute__((noinline)) double cold_call(char *(*get)(const char *), const struct query *query)
{
    /* The caller's own data is at hand. */
    const char *name = query->name, *expected = query->expected;
    size_t length = strlen(name);
    __asm__ volatile("" : : "r"(length));
    _mm_mfence();
    uint64_t start = ticks();
    const char *value = get(name);
    uint64_t end = ticks();
    if (value != expected)
        wrong(name, value);
    return (double)(end - start);
}

static void cold_cases(const struct contestant *const pair[2], const char *list)
{
    walked = mmap(NULL, (size_t)WALK_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(walked != MAP_FAILED);
    madvise(walked, (size_t)WALK_PAGES * PAGE, MADV_NOHUGEPAGE); /* may be unknown: then the walk is the same, the misses fewer */
    memset(walked, 1, (size_t)WALK_PAGES * PAGE);
    double scale = ticks_per_ns();
    find_ranges();
    for (unsigned miss = 0; miss < 2; miss++) {
        const struct query *asked = miss ? misses : hits;
        static double times[2][COLD_CALLS];
        read_round(pair[0]->get, asked, FEWEST_CALLS);
        read_round(pair[1]->get, asked, FEWEST_CALLS);
        for (unsigned call = 0; call < COLD_CALLS; call++) {
            const struct query *query = &asked[number_below(variables)];
            for (unsigned turn = 0; turn < 2; turn++) {
                unsigned who = (turn + call) % 2;
                evict();
                times[who][call] = cold_call(pair[who]->get, query) / scale;
            }
        }
        char title[128];
        snprintf(title, sizeof title, "cold getenv %s %u %s", list, variables, miss ? "miss" : "hit");
        row(title, pair[0]->name, times[0], pair[1]->name, times[1], COLD_CALLS);
    }
}
#else
static void cold_cases(const struct contestant *const pair[2], const char *list)
{
    (void)pair, (void)list;
    printf("note\tcold reads: only on x86-64, where a program can flush caches\n");
}
#endif

/* ---- workers: a process per contestant ----
 *
 * Writers of two implementations cannot share an environment: each would take over the other's list at every turn, and that is what
 * would be timed. So each contestant gets a process of its own, forked before anything was changed, builds the environment by its
 * own functions, and then does one short round whenever it is told to. Fair: both do the same in the same order, one at a time
 * while the other one waits in `read`, and each warms its caches again before it looks at the clock. Building is not timed. */

enum { MOST_RESULTS = 4 };
struct worker {
    pid_t pid;
    int to, from;
};
typedef void job(const struct contestant *who, unsigned round, double results[MOST_RESULTS]);
struct task {
    job *run;
    unsigned round;
};

static void *sleep_on(void *nothing)
{
    for (;;)
        pause();
    return nothing;
}

/* `parked`: a second thread is there, and sleeps. */
static void work(const struct contestant *who, int in, int out, int parked)
{
    pthread_t thread;
    make_list("built", who, make_entries(variables));
    if (parked)
        CHECK(pthread_create(&thread, NULL, sleep_on, NULL) == 0);
    look_up_expected();
    struct task task;
    ssize_t got;
    while ((got = read(in, &task, sizeof task)) == (ssize_t)sizeof task) {
        double results[MOST_RESULTS] = {0};
        task.run(who, task.round, results);
        CHECK(write(out, results, sizeof results) == (ssize_t)sizeof results);
    }
    CHECK(got == 0);
    exit(0);
}

static struct worker start(const struct contestant *who, const struct worker *others, unsigned count, int parked)
{
    int to[2], from[2];
    CHECK(pipe(to) == 0 && pipe(from) == 0);
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        for (unsigned i = 0; i < count; i++) { /* or the others never see the end of their input */
            close(others[i].to);
            close(others[i].from);
        }
        close(to[1]);
        close(from[0]);
        work(who, to[0], from[1], parked);
    }
    close(to[0]);
    close(from[1]);
    return (struct worker){pid, to[1], from[0]};
}

static void ask(const struct worker *worker, job *run, unsigned round, double results[MOST_RESULTS])
{
    struct task task = {run, round};
    CHECK(write(worker->to, &task, sizeof task) == (ssize_t)sizeof task);
    if (read(worker->from, results, MOST_RESULTS * sizeof *results) != (ssize_t)(MOST_RESULTS * sizeof *results))
        FAIL("a worker ended");
}

static void stop(const struct worker *worker)
{
    int status;
    close(worker->to);
    CHECK(waitpid(worker->pid, &status, 0) == worker->pid);
    if (status != 0)
        FAIL("a worker ended with status %x", (unsigned)status);
    close(worker->from);
}

/* ---- writes ---- */

static const char **current;    /* the value that each variable must have */
static char (*versions)[2][VALUE_ROOM];
static unsigned char *which;
static char (*fresh)[VALUE_ROOM]; /* values that nobody has had: of all rounds, since they stay in use */
static char extra[EXTRA][NAME_ROOM];

static unsigned writes_of_a_round(void)
{
    return variables >= 500 ? 1000 : 4000;
}

static void prepare_writes(void)
{
    current = calloc(variables, sizeof *current);
    versions = calloc(variables, sizeof *versions);
    which = calloc(variables, 1);
    fresh = calloc((size_t)ROUNDS * 1000, sizeof *fresh);
    CHECK(current && versions && which && fresh);
    for (unsigned i = 0; i < variables; i++) {
        value_into(versions[i][0], i, 0);
        value_into(versions[i][1], i, 1);
        current[i] = versions[i][0];
    }
    for (unsigned i = 0; i < EXTRA; i++)
        name_into(extra[i], variables + i);
}

static void check_environment(const struct contestant *who)
{
    for (unsigned i = 0; i < variables; i++) {
        unsigned entries;
        const char *value = who->get(hits[i].name), *in_list = scan(hits[i].name, &entries);
        if (!value || value != in_list || strcmp(value, current[i]) != 0 || entries != variables)
            FAIL("%s: %s is %s, in the list %s, and should be %s; %u entries of %u", who->name, hits[i].name, value ? value : "none",
                 in_list ? in_list : "none", current[i], entries, variables);
    }
}

/* What a change must have done, looked up here and not by a contestant. */
static void check_change(const char *name, const char *value)
{
    const char *found = scan(name, NULL);
    if ((found != NULL) != (value != NULL) || (value && strcmp(found, value) != 0))
        FAIL("after the change %s is %s and should be %s", name, found ? found : "gone", value ? value : "gone");
}

typedef void writes(const struct contestant *who, unsigned calls, int check_each);

/* One change; VALUE is NULL to remove the variable. */
static inline void change(const struct contestant *who, const char *name, const char *value, int check)
{
    if ((value ? who->set(name, value, 1) : who->unset(name)) != 0)
        wrong(name, "refused");
    if (check)
        check_change(name, value);
}

static void set_equal(const struct contestant *who, unsigned calls, int check_each)
{
    for (unsigned i = 0; i < calls; i++) {
        unsigned at = order[i % ORDER];
        change(who, hits[at].name, current[at], check_each);
    }
}
static void set_other(const struct contestant *who, unsigned calls, int check_each)
{
    for (unsigned i = 0; i < calls; i++) {
        unsigned at = order[i % ORDER];
        current[at] = versions[at][which[at] ^= 1];
        change(who, hits[at].name, current[at], check_each);
    }
}
static void add_remove(const struct contestant *who, unsigned calls, int check_each)
{
    static const char value[] = "tcp://10.96.0.1:443";
    for (unsigned i = 0; i < calls; i++) {
        const char *name = extra[order[i % ORDER] % EXTRA];
        change(who, name, value, check_each);
        change(who, name, NULL, check_each);
    }
}

/* The newest variable comes and goes. */
static void toggle_newest(const struct contestant *who, unsigned calls, int check_each)
{
    for (unsigned i = 0; i < calls; i++) {
        change(who, one_more, "1", check_each);
        change(who, one_more, NULL, check_each);
    }
}
/* Variables that have been there for long go and come back. */
static void toggle_old(const struct contestant *who, unsigned calls, int check_each)
{
    for (unsigned i = 0; i < calls; i++) {
        unsigned at = order[i % ORDER];
        change(who, hits[at].name, NULL, check_each);
        change(who, hits[at].name, current[at], check_each);
    }
}

/* The calls that warm the caches are checked one by one. While the clock runs, a look would cost more than the change: then it is
 * what they return, and afterwards the whole environment. */
static void write_round(const struct contestant *who, writes *write, double *result)
{
    unsigned calls = writes_of_a_round();
    new_order();
    write(who, calls / 8, 1);
    double begin = used_ns();
    write(who, calls, 0);
    *result = (used_ns() - begin) / calls;
    check_environment(who);
}
static void job_equal(const struct contestant *who, unsigned round, double *result)
{
    (void)round;
    write_round(who, set_equal, result);
}
static void job_other(const struct contestant *who, unsigned round, double *result)
{
    (void)round;
    write_round(who, set_other, result);
}
static void job_pair(const struct contestant *who, unsigned round, double *result)
{
    (void)round;
    write_round(who, add_remove, result);
}
static void job_newest(const struct contestant *who, unsigned round, double *result)
{
    (void)round;
    write_round(who, toggle_newest, result);
}
static void job_old(const struct contestant *who, unsigned round, double *result)
{
    (void)round;
    write_round(who, toggle_old, result);
}
static void job_new(const struct contestant *who, unsigned round, double *result)
{
    enum { CALLS = 1000 };
    char (*values)[VALUE_ROOM] = fresh + (size_t)round * CALLS;
    for (unsigned i = 0; i < CALLS; i++)
        value_into(values[i], i, 2 + round * CALLS + i);
    new_order();
    set_equal(who, CALLS / 8, 1);
    double begin = used_ns();
    for (unsigned i = 0; i < CALLS; i++) {
        unsigned at = order[i];
        current[at] = values[i];
        if (who->set(hits[at].name, current[at], 1) != 0)
            wrong(hits[at].name, "refused");
    }
    *result = (used_ns() - begin) / CALLS;
    check_environment(who);
}

static void write_cases(const struct contestant *const pair[2], int parked)
{
    static const struct {
        const char *title;
        job *run;
    } cases[] = {{"setenv equal", job_equal}, {"setenv other", job_other}, {"add+remove", job_pair},
                 {"toggle newest", job_newest}, {"toggle old", job_old}, {"setenv new", job_new}};
    prepare_writes();
    struct worker workers[2];
    for (unsigned i = 0; i < 2; i++)
        workers[i] = start(pair[i], workers, i, parked);
    for (unsigned kind = 0; kind < sizeof cases / sizeof *cases; kind++) {
        double times[2][ROUNDS];
        for (unsigned round = 0; round < ROUNDS; round++)
            for (unsigned turn = 0; turn < 2; turn++) {
                unsigned who = (turn + round) % 2;
                double results[MOST_RESULTS];
                ask(&workers[who], cases[kind].run, round, results);
                times[who][round] = results[0];
            }
        char title[128];
        snprintf(title, sizeof title, "%s %u%s", cases[kind].title, variables, parked ? ", two threads" : "");
        row(title, pair[0]->name, times[0], pair[1]->name, times[1], ROUNDS);
    }
    for (unsigned i = 0; i < 2; i++)
        stop(&workers[i]);
}

/* Each time in a new process: memory that an implementation has kept from the last time would make the next one cheaper. */
static double build_in_child(const struct contestant *who)
{
    int result[2];
    CHECK(pipe(result) == 0);
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    double took;
    if (pid == 0) {
        CHECK(who->clear() == 0);
        double begin = used_ns();
        for (unsigned i = 0; i < variables; i++)
            if (who->set(hits[i].name, versions[i][0], 1) != 0)
                wrong(hits[i].name, "refused");
        took = (used_ns() - begin) / variables;
        check_environment(who);
        CHECK(write(result[1], &took, sizeof took) == (ssize_t)sizeof took);
        exit(0);
    }
    close(result[1]);
    if (read(result[0], &took, sizeof took) != (ssize_t)sizeof took)
        FAIL("%s: the child ended", who->name);
    close(result[0]);
    CHECK(waitpid(pid, NULL, 0) == pid);
    return took;
}

static void nothing_case(const struct contestant *const pair[2])
{
    prepare_writes();
    double times[2][BUILDS];
    for (unsigned round = 0; round < BUILDS; round++)
        for (unsigned turn = 0; turn < 2; turn++) {
            unsigned who = (turn + round) % 2;
            times[who][round] = build_in_child(pair[who]);
        }
    char title[128];
    snprintf(title, sizeof title, "%u from nothing", variables);
    row(title, pair[0]->name, times[0], pair[1]->name, times[1], BUILDS);
}

/* ---- threads ---- */

static atomic_uint ready, stopping;

struct reader {
    pthread_t thread;
    const struct contestant *who;
    const struct query *asked;
    unsigned offset, together, processor;
    double calls, ns, processor_ns;
};

/* The i-th thread of a round stays on one processor: fresh threads may share one for longer than a round takes, while another one
 * idles. The first round begins with the first processor, the next one with the second. */
static void stay_on(unsigned i)
{
    cpu_set_t all, one;
    CHECK(sched_getaffinity(0, sizeof all, &all) == 0);
    unsigned wanted = i % (unsigned)CPU_COUNT(&all);
    CPU_ZERO(&one);
    for (unsigned processor = 0; processor < CPU_SETSIZE; processor++)
        if (CPU_ISSET(processor, &all) && wanted-- == 0)
            CPU_SET(processor, &one);
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
}

/* Processors are few: who waits lets the others run. */
static void meet(unsigned all)
{
    atomic_fetch_add(&ready, 1);
    while (atomic_load(&ready) < all)
        sched_yield();
}

static void *read_until_stopped(void *argument)
{
    struct reader *self = argument;
    unsigned at = self->offset;
    uint64_t calls = 0;
    stay_on(self->processor);
    meet(self->together);
    double begin = now_ns(), used = used_ns();
    do {
        for (unsigned i = 0; i < 64; i++, at++, calls++) {
            const struct query *query = &self->asked[order[at % ORDER]];
            const char *value = self->who->get(query->name);
            if (value != query->expected)
                wrong(query->name, value);
        }
    } while (!atomic_load_explicit(&stopping, memory_order_relaxed));
    self->ns = now_ns() - begin;
    self->processor_ns = used_ns() - used;
    self->calls = (double)calls;
    return NULL;
}

struct writer {
    const struct contestant *who;
    unsigned processor;
    double pairs, ns;
};

static void *write_until_stopped(void *argument)
{
    struct writer *self = argument;
    const struct contestant *who = self->who;
    unsigned i = 0;
    stay_on(self->processor);
    double begin = now_ns();
    do {
        const char *name = extra[i++ % EXTRA];
        if (who->set(name, "tcp://10.96.0.1:443", 1) != 0 || who->unset(name) != 0)
            wrong(name, "refused");
    } while (!atomic_load_explicit(&stopping, memory_order_relaxed));
    self->ns = now_ns() - begin;
    self->pairs = i;
    return NULL;
}

/* Wall nanoseconds per call of `count` readers together: half as many for two readers that do not disturb each other. With a
 * writer, also what one pair of its changes took. `processors`: how many the readers had. */
static double readers_round(const struct contestant *who, const struct query *asked, unsigned count, double *pair_ns,
                            double *processors)
{
    static unsigned first; /* processor */
    struct reader readers[2];
    struct writer writer = {.who = who, .processor = ++first + count};
    pthread_t thread;
    new_order();
    atomic_store(&ready, 0);
    atomic_store(&stopping, 0);
    for (unsigned i = 0; i < count; i++) {
        readers[i] = (struct reader){.who = who, .asked = asked, .offset = i * ORDER / 2, .together = count + 1, .processor = first + i};
        CHECK(pthread_create(&readers[i].thread, NULL, read_until_stopped, &readers[i]) == 0);
    }
    if (pair_ns)
        CHECK(pthread_create(&thread, NULL, write_until_stopped, &writer) == 0);
    meet(count + 1);
    struct timespec pause = {0, (long)THREADS_ROUND_NS};
    nanosleep(&pause, NULL);
    atomic_store(&stopping, 1);
    double per_ns = 0;
    *processors = 0;
    for (unsigned i = 0; i < count; i++) {
        CHECK(pthread_join(readers[i].thread, NULL) == 0);
        per_ns += readers[i].calls / readers[i].ns;
        *processors += readers[i].processor_ns / readers[i].ns;
    }
    if (pair_ns) {
        CHECK(pthread_join(thread, NULL) == 0);
        *pair_ns = writer.ns / writer.pairs;
    }
    CHECK(per_ns > 0);
    return 1 / per_ns;
}

/* One reader and two, one after the other, so that their ratio is that of one moment. */
static void job_readers(const struct contestant *who, const struct query *asked, unsigned round, double *results, int beside_writer)
{
    double processors[2];
    for (unsigned turn = 0; turn < 2; turn++) {
        unsigned count = 1 + (turn + round / 2) % 2;
        results[count - 1] = readers_round(who, asked, count, beside_writer ? &results[count + 1] : NULL, &processors[count - 1]);
    }
    for (unsigned i = 0; i < 2 && !beside_writer; i++)
        results[2 + i] = processors[i];
}
static void job_hits(const struct contestant *who, unsigned round, double *results)
{
    job_readers(who, hits, round, results, 0);
}
static void job_misses(const struct contestant *who, unsigned round, double *results)
{
    job_readers(who, misses, round, results, 0);
}
static void job_hits_beside(const struct contestant *who, unsigned round, double *results)
{
    job_readers(who, hits, round, results, 1);
}
static void job_misses_beside(const struct contestant *who, unsigned round, double *results)
{
    job_readers(who, misses, round, results, 1);
}

/* What single reads take beside a writer: half of them at most, all but one in a hundred at most, the longest. */
static void job_latency(const struct contestant *who, unsigned round, double *results)
{
    static double took[LATENCIES], scale;
    pthread_t thread;
    struct writer writer = {.who = who, .processor = round + 1};
    if (round == 0)
        scale = ticks_per_ns();
    new_order();
    atomic_store(&stopping, 0);
    cpu_set_t before;
    CHECK(sched_getaffinity(0, sizeof before, &before) == 0);
    CHECK(pthread_create(&thread, NULL, write_until_stopped, &writer) == 0);
    stay_on(round);
    for (unsigned i = 0; i < LATENCIES; i++) {
        const struct query *query = &hits[order[i % ORDER]];
        uint64_t begin = ticks();
        const char *value = who->get(query->name);
        took[i] = (double)(ticks() - begin) / scale;
        if (value != query->expected)
            wrong(query->name, value);
    }
    atomic_store(&stopping, 1);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(sched_setaffinity(0, sizeof before, &before) == 0);
    results[0] = quantile(took, LATENCIES, 0.5);
    results[1] = quantile(took, LATENCIES, 0.99);
    results[2] = took[LATENCIES - 1];
}

/* glibc since 2.41 can be read beside a writer; before, and in musl, such a reader dies or gets garbage. */
static int libc_is_safe(void)
{
    const char *(*version)(void);
    *(void **)&version = dlsym(RTLD_DEFAULT, "gnu_get_libc_version");
    unsigned major, minor;
    return version && sscanf(version(), "%u.%u", &major, &minor) == 2 && (major > 2 || minor >= 41);
}

enum { MOST_THREADED = 4 };
static const struct contestant *threaded[MOST_THREADED];
static struct worker workers[MOST_THREADED];

/* Compares the first one with each other one. The rows sort, so they get copies. */
static void rows_of(const char *title, unsigned count, unsigned rounds, double times[MOST_THREADED][ROUNDS])
{
    for (unsigned i = 1; i < count; i++) {
        double ours[ROUNDS], theirs[ROUNDS];
        memcpy(ours, times[0], sizeof ours);
        memcpy(theirs, times[i], sizeof theirs);
        row(title, threaded[0]->name, ours, threaded[i]->name, theirs, rounds);
    }
}

static double collected[MOST_RESULTS][MOST_THREADED][ROUNDS];

static void collect(unsigned count, unsigned rounds, job *run)
{
    for (unsigned round = 0; round < rounds; round++)
        for (unsigned turn = 0; turn < count; turn++) {
            unsigned i = (turn + round) % count;
            double results[MOST_RESULTS];
            ask(&workers[i], run, round, results);
            for (unsigned result = 0; result < MOST_RESULTS; result++)
                collected[result][i][round] = results[result];
        }
}

static void threads_rows(const char *what, unsigned count, job *run, int beside_writer)
{
    char title[160];
    collect(count, ROUNDS, run);
    if (!beside_writer) {
        /* Nothing of ours blocks: what the machine gives to others meanwhile can be told apart from what readers cost each other. */
        double one[ROUNDS], two[ROUNDS];
        for (unsigned round = 0; round < ROUNDS; round++) {
            one[round] = collected[0][0][round] * collected[2][0][round];
            two[round] = collected[1][0][round] * collected[3][0][round] / 2;
        }
        printf("note\t%s: two readers of ours had %.2f processors\n", what, quantile(collected[3][0], ROUNDS, 0.5));
        snprintf(title, sizeof title, "%s, ours: 2 threads against 1, by processor time", what);
        row(title, "2 threads", two, "1 thread", one, ROUNDS);
    }
    for (unsigned i = 0; i < count; i++) {
        double one[ROUNDS], two[ROUNDS];
        memcpy(one, collected[0][i], sizeof one);
        memcpy(two, collected[1][i], sizeof two);
        snprintf(title, sizeof title, "%s, %s: 2 threads against 1", what, threaded[i]->name);
        row(title, "2 threads", two, "1 thread", one, ROUNDS);
    }
    for (unsigned readers = 1; readers <= 2; readers++) {
        snprintf(title, sizeof title, "%s, %u thread%s", what, readers, readers > 1 ? "s" : "");
        rows_of(title, count, ROUNDS, collected[readers - 1]);
        if (beside_writer) {
            snprintf(title, sizeof title, "%s, %u thread%s: the writer's pair", what, readers, readers > 1 ? "s" : "");
            rows_of(title, count, ROUNDS, collected[readers + 1]);
        }
    }
}

static void threads_cases(const struct contestant *ours, const struct contestant *libc, const struct contestant *rwlock)
{
    static struct contestant writers_first;
    unsigned count = 0;
    char title[3][64];
    prepare_writes();
    CHECK(make_lock(0));
    threaded[count] = ours;
    workers[count] = start(ours, workers, count, 0);
    count++;
    threaded[count] = rwlock;
    workers[count] = start(rwlock, workers, count, 0);
    count++;
    if (make_lock(1)) {
        writers_first = *rwlock;
        writers_first.name = "rwlock, writers first";
        threaded[count] = &writers_first;
        workers[count] = start(&writers_first, workers, count, 0);
        count++;
    }
    threaded[count] = libc;
    workers[count] = start(libc, workers, count, 0);
    count++;
    unsigned beside_writer = libc_is_safe() ? count : count - 1;
    if (beside_writer < count)
        printf("note\tthis libc cannot be read beside a writer: ours and locks are compared there\n");

    snprintf(title[0], sizeof title[0], "getenv %u hit", variables);
    snprintf(title[1], sizeof title[1], "getenv %u miss", variables);
    threads_rows(title[0], count, job_hits, 0);
    threads_rows(title[1], count, job_misses, 0);
    snprintf(title[0], sizeof title[0], "getenv %u hit beside a writer", variables);
    snprintf(title[1], sizeof title[1], "getenv %u miss beside a writer", variables);
    threads_rows(title[0], beside_writer, job_hits_beside, 1);
    threads_rows(title[1], beside_writer, job_misses_beside, 1);

    collect(beside_writer, LATENCY_ROUNDS, job_latency);
    static const char *const part[3] = {"p50", "p99", "max"};
    for (unsigned i = 0; i < 3; i++) {
        snprintf(title[i], sizeof title[i], "one getenv %u beside a writer: %s", variables, part[i]);
        rows_of(title[i], beside_writer, LATENCY_ROUNDS, collected[i]);
    }
    for (unsigned i = 0; i < count; i++)
        stop(&workers[i]);
}

static void about(void)
{
    const char *(*version)(void);
    *(void **)&version = dlsym(RTLD_DEFAULT, "gnu_get_libc_version");
    printf("%s\n", version ? version() : "not glibc");
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "about") == 0) {
        about();
        return 0;
    }
    int reads = argc == 5 && (strcmp(what, "read") == 0 || strcmp(what, "cold") == 0);
    int writes = argc == 5 && strcmp(what, "write") == 0 && (strcmp(argv[2], "alone") == 0 || strcmp(argv[2], "parked") == 0);
    int rest = argc == 4 && (strcmp(what, "nothing") == 0 || strcmp(what, "threads") == 0);
    if (!reads && !writes && !rest) {
        fprintf(stderr, "usage: see the head of compare.c; benches/compare/run is the way to start this\n");
        return 2;
    }
    prepare((unsigned)atoi(argv[argc - 2]));
    const char *list = argv[2];
    if (reads && is_from_kernel(list))
        inherit(argc);
    struct contestant ours = ours_from(argv[argc - 1]), libc = libc_itself(), rwlock = libc_locked();
    const struct contestant *const pair[2] = {&ours, &libc};
    if (reads) {
        if (strncmp(list, executed, strlen(executed)) == 0)
            list += strlen(executed);
        further = make_list(list, &ours, make_entries(variables));
        look_up_expected();
        if (strcmp(what, "read") == 0)
            read_cases(pair, list);
        else
            cold_cases(pair, list);
    } else if (writes) {
        write_cases(pair, strcmp(argv[2], "parked") == 0);
    } else if (strcmp(what, "nothing") == 0) {
        nothing_case(pair);
    } else {
        threads_cases(&ours, &libc, &rwlock);
    }
    return 0;
}
