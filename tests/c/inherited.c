/* The kernel's list, in processes that read before they change anything, or change it by their own stores only. Runs itself again
 * with each number of variables and checks every answer against its own scan of environ. */
#include "check.h"
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>

enum { MOST = 20000, SAMPLES = 600, ROOM = 320, THREADS = 8, SECONDS = 20, LONGEST_WITH_HINTS = 16000 };

static char samples[SAMPLES][ROOM];
static char *expected[SAMPLES];
static int sample_count;
static size_t variables;

static void name_of(char *name, size_t i) {
    static const int lengths[] = {2, 3, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 40};
    int digits = sprintf(name, "%zu", i), length = lengths[i % (sizeof lengths / sizeof *lengths)];
    if (i % 500 == 7)
        length = 300;
    if (i == 0)
        strcpy(name, "A");
    else if (length <= digits)
        sprintf(name, "V%zu", i);
    else if (i & 1) { /* alike but for the first bytes */
        sprintf(name, "W%zu_", i);
        for (int at = (int)strlen(name); at < length; at++)
            strcpy(name + at, "X");
    } else { /* alike but for the last ones */
        for (int at = 0; at < length - digits; at++)
            name[at] = (char)('A' + at * 7 % 26);
        sprintf(name + length - digits, "%zu", i);
    }
}

static char *scan(const char *name) {
    size_t length = strlen(name);
    if (length == 0 || strchr(name, '='))
        return NULL;
    for (char **slot = environ; slot && *slot; slot++)
        if (**slot == *name && strncmp(*slot, name, length) == 0 && (*slot)[length] == '=')
            return *slot + length + 1;
    return NULL;
}

/* What is looked for: variables from all over the list, and names near theirs. Without a call of the library. */
static void choose_samples(void) {
    size_t each = variables / (variables <= 1000 ? SAMPLES / 4 : SAMPLES / 16) + 1;
    sample_count = 0;
    for (size_t i = 0; i < variables + 8 && sample_count < SAMPLES - 4; i += i + 20 < variables ? each : 1) {
        char *name = samples[sample_count++];
        name_of(name, i);
        size_t length = strlen(name);
        strcpy(samples[sample_count], name);
        samples[sample_count++][length - 1] ^= 1;
        strcpy(samples[sample_count], name);
        samples[sample_count++][0] ^= 1;
        strcat(strcpy(samples[sample_count++], name), "0");
    }
    strcpy(samples[sample_count++], "");
    strcpy(samples[sample_count++], "A=B");
}

static void expect(void) {
    for (int i = 0; i < sample_count; i++)
        expected[i] = scan(samples[i]);
}

static void check_sample(int i, const char *what) {
    char *found = getenv(samples[i]);
    if (found != expected[i])
        FAIL("%zu variables, %s: getenv(\"%s\") is %s, a scan finds %s", variables, what, samples[i],
             found ? found : "nothing", expected[i] ? expected[i] : "nothing");
}

static void check_samples(const char *what) {
    for (int i = 0; i < sample_count; i++)
        check_sample(i, what);
}

static void check(const char *what) {
    expect();
    check_samples(what);
}

/* So many slots are scanned that hints are worth their cost: at least 2,048, and 32 times the list. */
static void read_much(void) {
    size_t n = 0;
    while (environ && environ[n])
        n++;
    for (size_t i = 0; i < 64 + 8192 / (n + 1); i++)
        CHECK(!getenv("ABSENT_NAME"));
}

static int library_segment(struct dl_phdr_info *info, size_t size, void *result) {
    (void)size;
    if (!strstr(info->dlpi_name, "mtsafe_env_preload"))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD && info->dlpi_phdr[i].p_flags & PF_W) {
            uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            ((uintptr_t *)result)[0] = start & ~(page - 1);
            ((uintptr_t *)result)[1] = (start + info->dlpi_phdr[i].p_memsz + page - 1) & ~(page - 1);
        }
    return 0;
}

/* Bytes of the library's writable memory that were ever touched. */
static size_t touched(void) {
    uintptr_t segment[2] = {0, 0}, page = (uintptr_t)sysconf(_SC_PAGESIZE);
    static unsigned char resident[1024];
    size_t bytes = 0;
    dl_iterate_phdr(library_segment, segment);
    CHECK(segment[0] && (segment[1] - segment[0]) / page < sizeof resident);
    CHECK(mincore((void *)segment[0], segment[1] - segment[0], resident) == 0);
    for (uintptr_t i = 0; i < (segment[1] - segment[0]) / page; i++)
        bytes += resident[i] & 1 ? page : 0;
    return bytes;
}

static void reads(size_t unused) {
    (void)unused;
    size_t before = touched();
    check("at first");
    read_much();
    check("after many reads");
    /* Without hints most of this program would test nothing. A list that has none, or needs none, costs no memory. */
    size_t more = touched() - before;
    if (variables == LONGEST_WITH_HINTS)
        CHECK(more >= LONGEST_WITH_HINTS * sizeof(char *));
    if (variables == 0 || variables > LONGEST_WITH_HINTS)
        CHECK(more < 64 * 1024);
}

/* The list is cut in front of variable AT while hints are built, and whole again. */
static void cut_early(size_t at) {
    if (at >= variables)
        return;
    char *entry = environ[at];
    environ[at] = NULL;
    check("cut early");
    read_much();
    check("cut early, after many reads");
    environ[at] = entry;
    check("cut early and mended");
    read_much();
    check("cut early and mended, after many reads");
}

/* The head stands AT variables up while hints are built, and at the first again. */
static void moved_early(size_t at) {
    if (at > variables)
        return;
    environ += at;
    check("moved early");
    read_much();
    check("moved early, after many reads");
    environ -= at;
    check("moved early and back");
    environ += variables;
    check("moved to the end");
}

static void stored_early(size_t at) {
    if (at >= variables)
        return;
    char own[ROOM + 8], name[ROOM];
    name_of(name, variables / 2);
    strcat(strcpy(own, name), "=own");
    char *entry = environ[at];
    environ[at] = own;
    check("stored early");
    read_much();
    check("stored early, after many reads");
    strcpy(own, "NEW=name");
    CHECK(has("NEW", "name"));
    check("stored early and renamed");
    environ[at] = entry;
    check("stored early and back");
}

/* Direct stores to the kernel's array, after hints were built for it. */
static void stores(size_t at) {
    if (variables == 0 || at >= variables)
        return;
    read_much();
    char own[ROOM + 8], name[ROOM], *entry = environ[at];
    for (size_t of = 0; of < variables; of += variables / 8 + 1) {
        /* A second one of a name, before or behind the first, or in its place. */
        name_of(name, of);
        strcat(strcpy(own, name), "=own");
        environ[at] = own;
        check("a store");
        strcpy(own, "OTHER=name");
        CHECK(has("OTHER", "name"));
        check("a store and another name");
    }
    environ[at] = "";
    check("an empty string");
    environ[at] = "odd";
    check("a string without =");
    environ[at] = environ[variables - 1];
    check("a duplicate");
    environ[at] = NULL;
    check("a cut");
    environ[at] = entry;
    check("a mended list");
    /* As sanitisers of environments do: every third goes. */
    static char *all[MOST + 1];
    memcpy(all, environ, (variables + 1) * sizeof *all);
    size_t to = 0;
    for (size_t i = 0; i < variables; i++)
        if (i % 3 != 0)
            environ[to++] = environ[i];
    environ[to] = NULL;
    check("compaction in place");
    memcpy(environ, all, (variables + 1) * sizeof *all);
    check("all of it again");
    char *equals = strchr(environ[at], '=');
    if (equals) {
        *equals = 0;
        check("a cut at the =");
        *equals = '=';
        check("a mended =");
    }
    char **first = environ;
    environ++;
    check("environ++");
    environ = all;
    check("a copy of the list");
    environ = first;
    check("the list again");
    environ = NULL;
    check("no list");
}

static void change(size_t number) {
    static char put[ROOM] = "PUT=here";
    char name[ROOM];
    if (number % 2)
        read_much();
    expect();
    name_of(name, variables / 2);
    switch (number / 2) {
    case 0: CHECK(setenv("ADDED", "1", 1) == 0 && has("ADDED", "1")); break;
    case 1: CHECK(setenv(name, "again", 1) == 0 && has(name, "again")); break;
    case 2: CHECK(unsetenv(name) == 0 && has(name, NULL)); break;
    case 3: CHECK(putenv(put) == 0 && has("PUT", "here")); break;
    case 4: CHECK(clearenv() == 0 && setenv(name, "alone", 1) == 0 && count("") == 1); break;
    }
    check("the first change");
    read_much();
    strcpy(put, "NEW=name");
    CHECK(has("PUT", NULL) && has("NEW", number / 2 == 3 ? "name" : NULL));
    CHECK(setenv(name, "second", 1) == 0 && has(name, "second"));
    check("the second change");
}

static pthread_barrier_t barrier;

static void *reader(void *number) {
    pthread_barrier_wait(&barrier);
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < sample_count; i++)
            check_sample((int)((size_t)i + (uintptr_t)number * 71) % sample_count, "eight threads");
    return NULL;
}

/* They begin at once, so that they come to build hints at once. */
static void threads(size_t unused) {
    (void)unused;
    pthread_t threads[THREADS];
    expect();
    CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, reader, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(setenv("AFTER", "1", 1) == 0);
    check("after eight threads");
}

/* Behind the last string come the file name and a word, and no byte more can be read. So many names that some have the tag of that
 * string: those are compared with it. */
static void end_of_stack(size_t many) {
    char name[] = "ABSENT_NAME_OF_ALL_WORDS00000000";
    CHECK(variables > 0 && strlen(environ[variables - 1]) < 8 && strlen(name) == 32);
    read_much();
    for (size_t i = 0; i < many; i++) {
        sprintf(name + 24, "%08zu", i);
        CHECK(!getenv(name));
    }
}

/* The program's own entries, though they lie in the kernel's strings, one behind the other: they may be given other names. The first
 * one begins inside of a string, or what it was is not there any more, nor the last one. */
static void own_in_the_kernels(size_t shifted) {
    char *entry, name[ROOM];
    CHECK(variables > 20);
    if (shifted)
        for (size_t i = variables - 1; i > 0; i--)
            environ[i] = environ[i - 1];
    environ++;
    entry = shifted ? environ[variables - 2] : ++environ[0];
    for (int round = 0; round < 2; round++) {
        for (char c = 'a'; c < 'f'; c++) {
            *entry = c;
            size_t length = strcspn(entry, "=");
            memcpy(name, entry, length);
            name[length] = 0;
            CHECK(length > 0 && has(name, entry + length + 1));
            *name = 'z';
            CHECK(has(name, NULL));
            read_much();
        }
        /* And in the notes of writers. */
        CHECK(unsetenv(shifted ? "A" : "V39") == 0);
    }
}

/* As libc adds: into a list of its own, also where the kernel's has room for one more by now. */
static void added_elsewhere(size_t unused) {
    (void)unused;
    char **given = environ;
    CHECK(variables == 40 && unsetenv("V39") == 0 && environ == given && !given[39]);
    CHECK(setenv("NEW", "1", 1) == 0 && has("NEW", "1") && environ != given && !given[39]);
}

/* Set to the value that it has, a variable is ours: the program may write over what the kernel gave it. */
static void set_to_what_it_is(size_t unused) {
    (void)unused;
    static const char *const names[] = {"V39", "V26"};
    CHECK(variables == 40);
    for (int i = 0; i < 2; i++) {
        read_much();
        char *value = getenv(names[i]);
        CHECK(value && setenv(names[i], names[i] + 1, 1) == 0 && strcmp(value, names[i] + 1) == 0);
        memset(value, 'x', 2);
        CHECK(has(names[i], names[i] + 1) && unsetenv("A") == 0);
    }
}

static void *nothing(void *unused) { return unused; }

/* With threads, some names twice in it, and arrays around that held it before: each name keeps its first value. */
static void put_back(size_t rounds) {
    char **given = environ, name[ROOM];
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0);
    expect();
    for (size_t round = 0; round < rounds; round++) {
        environ = given;
        CHECK(setenv("ADDED", round & 1 ? "1" : "2", 1) == 0);
        check_samples("put back");
        for (int i = 0; i < 3; i++) {
            sprintf(name, "OTHER%zu", (round + (size_t)i) % 5);
            CHECK(unsetenv("ADDED") == 0 && setenv(name, "1", 1) == 0 && setenv("ADDED", "3", 1) == 0);
            check_samples("changed after it was put back");
        }
    }
}

/* In a list that the program made of the kernel's strings, one of them is put: then it is the program's, who may give it another name. */
static void put_in_a_copy(size_t unused) {
    (void)unused;
    static char *list[MOST + 1];
    CHECK(variables == 40);
    read_much();
    memcpy(list, environ, (variables + 1) * sizeof *list);
    environ = list;
    CHECK(putenv(list[39]) == 0 && environ == list);
    CHECK(setenv("NEW", "1", 1) == 0 && environ != list);
    read_much();
    *list[39] = 'W';
    CHECK(has("W39", "39") && has("V39", NULL) && has("NEW", "1"));
}

static volatile sig_atomic_t handled;

static void arm(void) {
    static uint64_t state = 0x2545f4914f6cdd1d;
    struct itimerval once = {{0, 0}, {0, 1 + (suseconds_t)(next_random(&state) % 50)}};
    setitimer(ITIMER_REAL, &once, NULL);
}

static void handler(int signal) {
    (void)signal;
    int saved = errno;
    errno = 4711;
    for (int i = 0; i < 3; i++)
        check_sample((int)((unsigned)handled * 3 + (unsigned)i) % sample_count, "the handler");
    CHECK(errno == 4711);
    handled = handled + 1;
    errno = saved;
    arm();
}

/* A handler that reads while its own thread scans, counts, or is in the middle of building. */
static void signals(size_t unused) {
    (void)unused;
    struct sigaction action = {.sa_handler = handler};
    expect();
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    arm();
    for (int round = 0; round < 4 || handled < 50; round++)
        check_samples("beside a handler");
    struct itimerval never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &never, NULL);
}

static atomic_int reading;

static void *reads_all(void *unused) {
    (void)unused;
    atomic_store(&reading, 1);
    check_samples("a thread beside forks");
    check_samples("a thread beside forks");
    atomic_store(&reading, 2);
    return NULL;
}

/* Children of the main thread, while another one builds hints: what is half built must not hurt them. */
static void forks(size_t unused) {
    (void)unused;
    pthread_t thread;
    expect();
    CHECK(pthread_create(&thread, NULL, reads_all, NULL) == 0);
    while (atomic_load(&reading) == 0)
        ;
    for (int i = 0; i < 10 || atomic_load(&reading) == 1; i++) {
        int status;
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            alarm(SECONDS);
            read_much();
            check_samples("a child");
            CHECK(setenv("CHILD", "1", 1) == 0 && has("CHILD", "1"));
            check("a child's change");
            _exit(0);
        }
        CHECK(waitpid(pid, &status, 0) == pid);
        if (status)
            FAIL("%zu variables: a child ended with status %#x", variables, status);
    }
    CHECK(pthread_join(thread, NULL) == 0);
}

static const struct scenario {
    const char *name;
    void (*run)(size_t argument);
} scenarios[] = {{"reads", reads}, {"cut_early", cut_early}, {"moved_early", moved_early}, {"stored_early", stored_early},
                 {"stores", stores}, {"change", change}, {"threads", threads}, {"signals", signals}, {"forks", forks},
                 {"end_of_stack", end_of_stack}, {"own_in_the_kernels", own_in_the_kernels},
                 {"added_elsewhere", added_elsewhere}, {"set_to_what_it_is", set_to_what_it_is},
                 {"put_back", put_back}, {"put_in_a_copy", put_in_a_copy}};

/* Some are there twice, some have no name. */
static char **environment(size_t n) {
    char **list = calloc(n + 1, sizeof *list), text[ROOM + 64], name[ROOM];
    CHECK(list);
    for (size_t i = 0; i < n; i++) {
        name_of(name, i % 41 == 19 ? i - 1 : i);
        sprintf(text, "%s=%zu", name, i);
        switch (i % 41) {
        case 11: sprintf(text, "odd"); break;
        case 13: sprintf(text, "=x"); break;
        case 17: sprintf(text, "%s", ""); break;
        }
        CHECK(list[i] = strdup(text));
    }
    return list;
}

static size_t processes;

/* Runs this program again with N variables. */
static void run(const char *scenario, size_t n, size_t argument) {
    char number[32], count[32];
    sprintf(count, "%zu", n);
    sprintf(number, "%zu", argument);
    char *arguments[] = {"inherited", (char *)scenario, count, number, NULL}, **list = environment(n);
    int status;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        execve("/proc/self/exe", arguments, list);
        FAIL("no exec with %zu variables", n);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    if (status)
        FAIL("%s with %zu variables, %zu: status %#x", scenario, n, argument, status);
    for (size_t i = 0; i < n; i++)
        free(list[i]);
    free(list);
    processes++;
}

int main(int argc, char **argv) {
    static const size_t sizes[] = {0, 1, 15, 16, 17, 40, 1000, LONGEST_WITH_HINTS, MOST};
    must_be_preloaded();
    if (argc == 4) {
        variables = strtoul(argv[2], NULL, 10);
        size_t n = 0;
        while (environ[n])
            n++;
        CHECK(n == variables);
        choose_samples();
        for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
            if (strcmp(argv[1], scenarios[i].name) == 0)
                return scenarios[i].run(strtoul(argv[3], NULL, 10)), 0;
        FAIL("no scenario %s", argv[1]);
    }
    CHECK(argc == 2);
    int rounds = atoi(argv[1]);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t n = sizes[i], places[] = {0, n - 1, n / 2, 1};
        run("reads", n, 0);
        for (size_t p = n <= 1000 ? 0 : 2; n && p < (n <= 1000 ? 4 : 3); p++) { /* one place in long lists */
            run("cut_early", n, places[p]);
            run("moved_early", n, places[p]);
            run("stored_early", n, places[p]);
            run("stores", n, places[p]);
        }
        for (size_t number = 0; number < 10; number += n <= 1000 ? 1 : 3)
            run("change", n, number);
    }
    run("end_of_stack", 40, 1000000);
    run("own_in_the_kernels", 40, 0);
    run("own_in_the_kernels", 40, 1);
    run("added_elsewhere", 40, 0);
    run("set_to_what_it_is", 40, 0);
    run("put_back", 40, 100);
    run("put_in_a_copy", 40, 0);
    for (int round = 0; round < rounds; round++) {
        run("threads", round % 2 ? 1000 : LONGEST_WITH_HINTS, 0);
        run("signals", round % 2 ? LONGEST_WITH_HINTS : 1000, 0);
        run("forks", round % 4 ? 1000 : LONGEST_WITH_HINTS, 0);
    }
    printf("%zu processes\n", processes);
    return 0;
}
