/* One thread, and a handler after each instruction of each call: it walks the list, asks getenv, carries on walks that began earlier, and
 * now and then forks; the child changes its environment and returns into the interrupted call. On every kind of list, at several sizes,
 * before and after a second thread existed. (x86-64 only: its trap flag.)
 *
 * What must hold after every instruction: a walk of the list, also from the head that was there before the call, and getenv find each
 * variable that the call does not change; the changed one is the old or the new, and never old again once it was new. A walk that loads a
 * slot now and then misses nothing. In a child: nothing that nobody removed is lost, nothing that was removed is back, nothing is twice.
 *
 * A step costs 10 us and more in a virtual machine, so by default each run takes a part of all calls, chosen by the seed. After the mode:
 * the instructions from one child to the next, a seed, "all" or "part", sizes. */
#include "scenes.h"
#include <sys/mman.h>
#include <sys/ucontext.h>

#ifdef __x86_64__

enum { MOST = 512, X = 500, DEFAULT_STRIDE = 97, SECONDS = 60, WALKS = 4 };

static const int sizes[] = {3, 20, 40, 125};
static long stride = DEFAULT_STRIDE;
static uint64_t seed = 1, random_state;
static int all;

/* The functions by address: a call must not go through the dynamic linker's binding. */
static int (*const set)(const char *, const char *, int) = setenv;
static int (*const put)(char *) = putenv;
static int (*const unset)(const char *) = unsetenv;
static int (*const clear)(void) = clearenv;

/* Lists: FIRST, N0 ..., MIDDLE, ..., LAST; with values of their names. */

static void nth_name(char name[16], int i, int n) {
    if (i == 0)
        strcpy(name, "FIRST");
    else if (i == n - 1)
        strcpy(name, "LAST");
    else if (i == n / 2)
        strcpy(name, "MIDDLE");
    else
        snprintf(name, 16, "N%d", i);
}

/* Which variable an entry is: a small number, at once. */
static int which(const char *entry) {
    switch (entry[0]) {
    case 'N': return entry[1] == 'O' ? 401 : 3 + atoi(entry + 1);
    case 'F': return 0;
    case 'M': return 1;
    case 'L': return entry[1] == 'A' ? 2 : entry[3] == 'P' ? 401 : 402;
    case 'E': return 200 + atoi(entry + 1);
    case 'X': return X;
    case 'O': return 403; /* what an own list has besides */
    case 'H': return 404; /* what handlers add */
    case 'G': return 405; /* what has gone and must not be met */
    default: FAIL("a strange entry: %s", entry);
    }
}

static char *entry_of(int i, int n) {
    char name[16], *entry;
    nth_name(name, i, n);
    CHECK(asprintf(&entry, "%s=%s", name, name) > 0);
    return entry;
}

static void the_librarys(int n) {
    char name[16];
    CHECK(clear() == 0);
    for (int i = 0; i < n; i++) {
        nth_name(name, i, n);
        CHECK(set(name, name, 1) == 0);
    }
}

static void the_kernels(int n) {
    (void)n;
    CHECK(environ == kernels_list);
}

static void after_a_removal_from_the_kernels(int n) {
    the_kernels(n);
    CHECK(unset("N1") == 0 && unset("LD_BIND_NOW") == 0);
}

static char **own_copy(int n) {
    static char *own[MOST];
    for (int i = 0; i < n; i++)
        own[i] = entry_of(i, n);
    own[n] = NULL;
    return own;
}

static void the_programs(int n) { environ = own_copy(n); }

static void the_programs_over_an_equal_one(int n) {
    the_librarys(n);
    environ = own_copy(n);
}

static void the_programs_over_a_different_one(int n) {
    char name[16];
    the_librarys(n);
    for (int i = 0; i < n; i += 2) {
        nth_name(name, i, n);
        CHECK(set(name, "G", 1) == 0);
    }
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "G%d", i);
        CHECK(set(name, "1", 1) == 0);
    }
    environ = own_copy(n);
}

static void a_restored_head(int n) {
    the_librarys(n);
    CHECK(set("G1", "1", 1) == 0 && set("O1", "1", 1) == 0 && set("G2", "1", 1) == 0);
    char **saved = environ;
    CHECK(unset("G1") == 0 && unset("G2") == 0 && set("O1", "2", 1) == 0);
    environ = saved;
}

static void a_saved_list(int n) {
    static char *own[] = {"G1=1", "G2=1", NULL};
    the_librarys(n);
    char **saved = environ;
    environ = own;
    CHECK(set("G3", "1", 1) == 0 && unset("G1") == 0);
    environ = NULL;
    CHECK(set("G4", "1", 1) == 0);
    environ = saved;
}

static void with_one_put(int n) {
    static char string[] = "O1=1";
    the_librarys(n);
    CHECK(unset("N1") == 0 && unset("N4") == 0 && put(string) == 0);
}

static void a_cut_list(int n) {
    the_librarys(n);
    CHECK(set("G1", "1", 1) == 0);
    /* Where the cut ones are is free with threads: what stays is what the snapshot says. */
    environ[length_of(environ) - 1] = NULL;
}

static void nothing(int n) {
    (void)n;
    environ = NULL;
}

static void a_cleared_list(int n) {
    the_librarys(n);
    CHECK(clear() == 0 && set("O1", "1", 1) == 0);
}

/* A child's first change. */
static void the_parents(int n) {
    the_librarys(n);
    CHECK(set("O1", "1", 1) == 0 && unset("N2") == 0);
    pid_t child = fork();
    if (child > 0) {
        int status;
        CHECK(waitpid(child, &status, 0) == child);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 99);
    }
    CHECK(child == 0);
}

static int grown; /* additions before the one that is looked at */
static void a_growing_one(int n) {
    char name[16];
    the_librarys(n);
    for (int i = 0; i < grown; i++) {
        snprintf(name, sizeof name, "E%d", i);
        CHECK(set(name, name, 1) == 0);
    }
}

static const struct list {
    const char *name;
    void (*make)(int n);
    int programs; /* changed in place as libc does: walks that go on meanwhile may miss */
} lists[] = {
    {"the kernel's", the_kernels, 0},
    {"the kernel's after removals", after_a_removal_from_the_kernels, 0},
    {"the library's", the_librarys, 0},
    {"a growing one", a_growing_one, 0},
    {"one with a string that was put", with_one_put, 0},
    {"a restored head", a_restored_head, 0},
    {"a saved list", a_saved_list, 0},
    {"a cut list", a_cut_list, 0},
    {"a cleared list", a_cleared_list, 0},
    {"the parent's", the_parents, 0},
    {"the program's", the_programs, 1},
    {"the program's over an equal one", the_programs_over_an_equal_one, 1},
    {"the program's over a different one", the_programs_over_a_different_one, 1},
    {"nothing", nothing, 1},
};

static char x_put[] = "X=new", middle_put[] = "MIDDLE=new";

static int add(void) { return set("X", "new", 1); }
static int put_new(void) { return put(x_put); }
static int replace_first(void) { return set("FIRST", "new", 1); }
static int replace_middle(void) { return set("MIDDLE", "new", 1); }
static int replace_last(void) { return set("LAST", "new", 1); }
static int put_again(void) { return put(middle_put); }
static int set_again(void) { return set("MIDDLE", "MIDDLE", 1); }
static int keep(void) { return set("MIDDLE", "not this", 0); }
static int remove_first(void) { return unset("FIRST"); }
static int remove_middle(void) { return unset("MIDDLE"); }
static int remove_last(void) { return unset("LAST"); }
static int remove_none(void) { return unset("ABSENT"); }
static int empty(void) { return clear(); }

static const struct call {
    const char *name;
    int (*call)(void);
    const char *changes; /* which variable */
    const char *to;      /* NULL: to none */
} calls[] = {
    {"add", add, "X", "new"},
    {"put", put_new, "X", "new"},
    {"replace the first", replace_first, "FIRST", "new"},
    {"replace one", replace_middle, "MIDDLE", "new"},
    {"replace the last", replace_last, "LAST", "new"},
    {"put again", put_again, "MIDDLE", "new"},
    {"set to the same", set_again, "MIDDLE", "MIDDLE"},
    {"set without overwriting", keep, "MIDDLE", "MIDDLE"},
    {"remove the first", remove_first, "FIRST", NULL},
    {"remove one", remove_middle, "MIDDLE", NULL},
    {"remove the last", remove_last, "LAST", NULL},
    {"remove none", remove_none, NULL, NULL},
    {"clear", empty, NULL, NULL},
};

static const struct list *list;
static const struct call *call;
static int size, threads;

/* What was before the call. */
static char *before[MOST];         /* by number: the whole entry */
static char names[MOST][16];
static int numbers[MOST], count_before;
static char **head_before;
static const char *old_value, *new_value;
static int changed, clears;

static void describe(void) {
    fprintf(stderr, "(%s, %d variables%s: %s; seed %llu) ", list->name, size, threads ? ", threads" : "", call->name, (unsigned long long)seed);
}

#define WRONG(...) \
    do { \
        describe(); \
        FAIL(__VA_ARGS__); \
    } while (0)

static void take_a_snapshot(void) {
    count_before = 0;
    for (char **slot = environ; slot && *slot; slot++) {
        int i = which(*slot);
        if (before[i])
            continue; /* a copy that a restored head brings */
        CHECK((before[i] = strdup(*slot)) && name_of(*slot, names[i], sizeof names[i]));
        numbers[count_before++] = i;
    }
    head_before = environ;
    clears = call->call == empty;
    changed = call->changes ? which(call->changes) : -1;
    old_value = changed >= 0 && before[changed] ? strchr(before[changed], '=') + 1 : NULL;
    new_value = call->call != keep ? call->to : old_value ? old_value : "not this";
}

static int same(const char *a, const char *b) { return a && b ? strcmp(a, b) == 0 : a == b; }

static volatile sig_atomic_t active, in_child, new_seen;
static long steps, children_made;

/* The changed one: old until it is new. */
static void one_of_both(const char *value, const char *how) {
    if (same(value, new_value)) {
        if (!same(old_value, new_value))
            new_seen = 1;
    } else if (!same(value, old_value)) {
        WRONG("step %ld: by %s %s is %s", steps, how, call->changes, value ? value : "not there");
    } else if (new_seen) {
        WRONG("step %ld: by %s %s is %s again", steps, how, call->changes, value ? value : "not there");
    }
}

/* A whole walk at this instant, from HEAD; IS_NOW says whether it is the environment. */
static void walk_at_once(char **from, int is_now) {
    static unsigned char met[MOST];
    const char *value = NULL;
    memset(met, 0, sizeof met);
    int entries = 0, different = 0;
    for (char *entry; from && (entry = *from); from++) {
        if (++entries > 4 * MOST)
            WRONG("step %ld: the list does not end", steps);
        int i = which(entry);
        if (met[i]++)
            continue;
        if (i == changed) {
            value = strchr(entry, '=') + 1;
        } else {
            if (!before[i])
                WRONG("step %ld: %s was not there before", steps, entry);
            if (strcmp(before[i], entry) != 0)
                WRONG("step %ld: %s was %s", steps, entry, before[i]);
            different++;
        }
    }
    int others = count_before - (changed >= 0 && before[changed]);
    if (clears && is_now) {
        if (different == 0 && others)
            new_seen = 1;
        else if (different == others && new_seen)
            WRONG("step %ld: what was cleared is back", steps);
        else if (different != others)
            WRONG("step %ld: %d of %d are there", steps, different, others);
    } else if (different != others) {
        for (int k = 0; k < count_before; k++)
            if (!met[numbers[k]] && numbers[k] != changed)
                WRONG("step %ld: %s is not met%s", steps, before[numbers[k]], is_now ? "" : " from the head that was before");
    }
    if (changed >= 0 && is_now)
        one_of_both(value, "a walk");
}

/* Walks that load a slot now and then. */
static struct walk {
    char **slot;          /* NULL: not on its way */
    char **list;
    size_t counted, at;   /* downwards: AT goes from COUNTED to 0 */
    enum { UP, DOWN, TWICE } kind;
    char *first;          /* TWICE: the entry of the first load, whose slot is loaded again */
    unsigned char met[MOST];
} walks[WALKS];

static void walk_meets(struct walk *w, const char *entry) {
    int i = which(entry);
    w->met[i] = 1;
    if (i != changed && (!before[i] || strcmp(before[i], entry) != 0))
        WRONG("step %ld: a walk met %s", steps, entry);
}

static void walk_ends(struct walk *w) {
    for (int k = 0; k < count_before && !clears; k++)
        if (!w->met[numbers[k]] && numbers[k] != changed)
            WRONG("step %ld: a walk %s missed %s", steps, w->kind == DOWN ? "downwards" : w->kind == UP ? "upwards" : "with two loads", before[numbers[k]]);
    w->slot = NULL;
}

static void walk_on(struct walk *w) {
    if (!w->slot) {
        if (next_random(&random_state) >> 20 & 15 || !environ)
            return;
        memset(w, 0, sizeof *w);
        w->slot = w->list = environ;
        w->counted = length_of(environ);
        w->at = w->counted;
        /* Downwards, and slots loaded twice, are for who has threads. */
        w->kind = threads ? (int)(next_random(&random_state) >> 20) % 3 : UP;
        return;
    }
    if (next_random(&random_state) >> 20 & 3)
        return;
    char *entry;
    switch (w->kind) {
    case UP:
        if (!(entry = *w->slot)) {
            walk_ends(w);
            return;
        }
        walk_meets(w, entry);
        w->slot++;
        if (threads && (size_t)(w->slot - w->list) > w->counted)
            WRONG("step %ld: %zu entries were counted, and there are more", steps, w->counted);
        break;
    case DOWN:
        if (w->at == 0) {
            walk_ends(w);
            return;
        }
        if ((entry = w->list[--w->at]))
            walk_meets(w, entry);
        break;
    case TWICE:
        entry = *w->slot;
        if (!w->first) {
            if (!entry) {
                walk_ends(w);
                return;
            }
            w->first = entry;
            break;
        }
        if (!entry && !(changed >= 0 && which(w->first) == changed && count_before == 1))
            WRONG("step %ld: a null where %s was", steps, w->first);
        if (entry) {
            if (which(w->first) != changed && which(entry) != which(w->first))
                WRONG("step %ld: the slot of %s has %s now", steps, w->first, entry);
            walk_meets(w, entry);
        }
        w->first = NULL;
        w->slot++;
        break;
    }
}

static void ask(int i) {
    const char *found = getenv(names[i]);
    if (clears) {
        if (found && new_seen)
            WRONG("step %ld: by getenv %s is there again", steps, names[i]);
        if (!found)
            new_seen = 1;
        if (!found || strcmp(found, strchr(before[i], '=') + 1) == 0)
            return;
    }
    if (!found || strcmp(found, strchr(before[i], '=') + 1) != 0)
        WRONG("step %ld: by getenv %s is %s", steps, names[i], found ? found : "not there");
}

/* Forks, and what the child does in the handler. */
static enum { NO_CHANGE, ADDITION, REMOVAL_OF_THE_FIRST, REMOVAL_OF_THE_CHANGED, CHANGE_OF_THE_CHANGED, REMOVALS, CLEARING, REPLACEMENT, GROWTH, CHANGES } handlers_change;
static unsigned char removed_in_handler[MOST];
static int replaced_in_handler = -1;

static int nth_bystander(int n) {
    for (int k = 0; k < count_before; k++)
        if (numbers[k] != changed && n-- == 0)
            return numbers[k];
    return -1;
}

static void remove_in_handler(int i) {
    if (i < 0)
        return;
    CHECK(unset(names[i]) == 0);
    if (!has(names[i], NULL))
        WRONG("in the handler of a child: %s is still there", names[i]);
    removed_in_handler[i] = 1;
}

static void change_in_the_handler(void) {
    char name[16];
    int others = count_before - (changed >= 0 && before[changed] != NULL), i;
    switch (handlers_change) {
    case NO_CHANGE: break;
    case ADDITION: CHECK(set("H", "1", 1) == 0 && has("H", "1")); break;
    case REMOVAL_OF_THE_FIRST: remove_in_handler(nth_bystander(0)); break;
    case REMOVAL_OF_THE_CHANGED:
        if (call->changes)
            CHECK(unset(call->changes) == 0 && has(call->changes, NULL));
        break;
    case CHANGE_OF_THE_CHANGED:
        if (call->changes)
            CHECK(set(call->changes, "handler", 1) == 0 && has(call->changes, "handler"));
        break;
    case REMOVALS:
        for (int k = 0; k < 3; k++)
            remove_in_handler(nth_bystander(k == 0 ? others / 2 : k == 1 ? others - 1 : 0));
        break;
    case CLEARING:
        CHECK(clear() == 0 && length_of(environ) == 0);
        memset(removed_in_handler, 1, sizeof removed_in_handler);
        break;
    case REPLACEMENT:
        i = nth_bystander((int)(steps % (others ? others : 1)));
        if (i >= 0) {
            CHECK(set(names[i], "handler", 1) == 0 && has(names[i], "handler"));
            replaced_in_handler = i;
        }
        break;
    case GROWTH:
        for (int k = 0; k < 2 * size + 10; k++) {
            snprintf(name, sizeof name, "H%d", k);
            CHECK(set(name, "1", 1) == 0);
        }
        CHECK(set("H", "1", 1) == 0);
        break;
    default: FAIL("no such change");
    }
}

/* A head that was put back may show copies of entries until something changes. */
static int copies_may_be_left(void) {
    return list->make == a_restored_head && (call->call == keep || call->call == set_again || call->call == remove_none);
}

/* The call has returned in the child of a handler. */
static void check_the_child(int result) {
    static const char *const what[] = {"nothing", "an addition", "the removal of the first", "the removal of the changed", "a change of the changed",
                                       "removals", "clearenv", "a replacement", "growth"};
#define LOST(...) \
    do { \
        fprintf(stderr, "(the handler of a child made %s at step %ld) ", what[handlers_change], steps); \
        WRONG(__VA_ARGS__); \
    } while (0)
    int copies = copies_may_be_left() && (handlers_change == NO_CHANGE || handlers_change == REMOVAL_OF_THE_CHANGED ||
                                          (handlers_change == CHANGE_OF_THE_CHANGED && !call->changes));
    if (result != 0)
        LOST("the call returned %d", result);
    for (int k = 0; k < count_before; k++) {
        int i = numbers[k];
        const char *wanted = i == replaced_in_handler ? "handler" : strchr(before[i], '=') + 1, *found = scan(environ, names[i]);
        if (i == changed)
            continue;
        if (clears && (!found || (i == replaced_in_handler && same(found, wanted))))
            continue; /* the handler's change before clearenv, or after it */
        if (clears)
            LOST("%s is there after clearenv", names[i]);
        if (removed_in_handler[i] && found)
            LOST("%s is back", names[i]);
        if (!removed_in_handler[i] && !same(found, wanted))
            LOST("%s is %s", names[i], found ? found : "lost");
        if (found && entries_of(environ, names[i]) != 1 && !copies)
            LOST("%s is there %zu times", names[i], entries_of(environ, names[i]));
    }
    int added = handlers_change == ADDITION || handlers_change == GROWTH;
    if (!clears && entries_of(environ, "H") != (size_t)added)
        LOST("what the handler added is there %zu times", entries_of(environ, "H"));
    if (changed >= 0) {
        const char *found = scan(environ, call->changes);
        int removed = handlers_change == REMOVAL_OF_THE_CHANGED || handlers_change == CLEARING;
        int right = (!(removed && call->call == keep) && same(found, new_value)) || (removed && !found) ||
                    (removed && call->call == keep && same(found, "not this")) ||
                    (handlers_change == CHANGE_OF_THE_CHANGED && same(found, "handler"));
        if (!right)
            LOST("%s is %s", call->changes, found ? found : "lost");
    }
    if (!copies)
        list_is_sound();
    /* And goes on. */
    char **own = environ;
    size_t n = length_of(own);
    CHECK(set("H1", "x", 1) == 0 && has("H1", "x") && set("FIRST", "x", 1) == 0 && has("FIRST", "x"));
    CHECK(unset("H1") == 0 && has("H1", NULL) && unset("FIRST") == 0 && unset("LAST") == 0 && has("LAST", NULL) && length_of(environ) <= n);
    list_is_sound();
}

/* The library's code: between calls of others, such as malloc, a handler may not change anything. */
static uintptr_t code_start, code_end;

static void find_the_code(void) {
    FILE *file = fopen("/proc/self/maps", "r");
    char line[512];
    CHECK(file);
    while (fgets(line, sizeof line, file)) {
        unsigned long start, end;
        if (strstr(line, "mtsafe_env_preload") && strstr(line, " r-xp ") && sscanf(line, "%lx-%lx", &start, &end) == 2)
            code_start = start, code_end = end;
    }
    CHECK(fclose(file) == 0 && code_start < code_end);
}

static long next_child;

static void trap(int signal, siginfo_t *info, void *context) {
    ucontext_t *c = context;
    (void)signal, (void)info;
    if (!active || in_child) {
        c->uc_mcontext.gregs[REG_EFL] &= ~0x100;
        return;
    }
    int saved = errno;
    uintptr_t at = (uintptr_t)c->uc_mcontext.gregs[REG_RIP];
    if (at < code_start || at >= code_end) {
        errno = saved;
        return; /* libc's memcpy and the like; no store to a list is made there */
    }
    steps++;
    walk_at_once(environ, 1);
    if (head_before && !list->programs && !clears)
        walk_at_once(head_before, 0);
    if (changed >= 0)
        one_of_both(getenv(call->changes), "getenv");
    if (count_before)
        for (int k = 0; k < 2; k++) {
            int i = numbers[(steps + k * 7) % count_before];
            if (i != changed)
                ask(i);
        }
    if (!list->programs)
        for (int k = 0; k < WALKS; k++)
            walk_on(&walks[k]);
    if (steps >= next_child) {
        next_child += stride;
        handlers_change = (int)(children_made % CHANGES);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            in_child = 1;
            alarm(SECONDS);
            c->uc_mcontext.gregs[REG_EFL] &= ~0x100;
            change_in_the_handler();
            errno = saved;
            return;
        }
        children_made++;
        int status;
        CHECK(waitpid(child, &status, 0) == child);
        if (status)
            WRONG("step %ld: a child failed: %s %d", steps, WIFSIGNALED(status) ? "signal" : "status",
                  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
    errno = saved;
}

static __attribute__((noinline)) int stepped(void) {
    active = 1;
    __asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; orq $0x100, (%%rsp); popfq; lea 128(%%rsp), %%rsp" ::: "memory", "cc");
    int result = call->call();
    __asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; andq $~0x100, (%%rsp); popfq; lea 128(%%rsp), %%rsp" ::: "memory", "cc");
    active = 0;
    return result;
}

static struct totals {
    long steps, children, calls;
} *totals;

/* One call in a process of its own. */
static int one_call(void) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        if (threads)
            have_a_second_thread();
        list->make(size);
        take_a_snapshot();
        random_state = seed * 0x9e3779b97f4a7c15u | 1;
        for (const char *s = call->name; *s; s++)
            random_state = random_state * 31 + (unsigned char)*s;
        random_state |= 1;
        next_random(&random_state);
        next_child = 1 + (long)((next_random(&random_state) >> 20) % (unsigned long)stride);
        long first = children_made = (long)(next_random(&random_state) >> 20) % CHANGES;
        int result = stepped();
        if (in_child) {
            check_the_child(result);
            _exit(0);
        }
        walk_at_once(environ, 1);
        if (result != 0 || (!same(old_value, new_value) && changed >= 0 && !new_seen))
            WRONG("after the call nothing has changed");
        if (!copies_may_be_left())
            list_is_sound();
        totals->steps += steps;
        totals->children += children_made - first;
        totals->calls++;
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    if (status)
        fprintf(stderr, "(%s, %d variables%s: %s) status %#x\n", list->name, size, threads ? ", threads" : "", call->name, status);
    return status != 0;
}

/* How many additions it takes before the one that needs another array: the head goes elsewhere then, not to the next slot. */
static int additions_until_growth(void) {
    for (grown = 0; grown < 2 * size + 140; grown++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            if (threads)
                have_a_second_thread();
            list->make(size);
            uintptr_t old = (uintptr_t)environ;
            CHECK(add() == 0);
            uintptr_t new = (uintptr_t)environ;
            _exit(new != old && new != old - sizeof *environ);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
        if (status)
            return grown;
    }
    return 0;
}

/* Of many calls with long lists a few. */
static int is_in_this_run(size_t l, size_t c) {
    uint64_t random = (seed * 1009 + l * 131 + c * 31 + (uint64_t)size * 7 + (uint64_t)threads) * 0x9e3779b97f4a7c15u | 1;
    next_random(&random), next_random(&random);
    return all || (random >> 20) % (size <= 3 ? 3 : size <= 20 ? 10 : size <= 40 ? 20 : 40) == 0;
}

static int all_calls(void) {
    int failed = 0;
    struct sigaction action = {.sa_sigaction = trap, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGTRAP, &action, NULL) == 0);
    find_the_code();
    totals = mmap(NULL, sizeof *totals, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK((void *)totals != MAP_FAILED);
    for (threads = 0; threads < 2; threads++)
        for (size_t l = 0; l < sizeof lists / sizeof *lists; l++)
            for (size_t c = 0; c < sizeof calls / sizeof *calls; c++) {
                list = &lists[l];
                call = &calls[c];
                if (!is_in_this_run(l, c) && !(list->make == a_growing_one && call->call == add))
                    continue;
                if (list->make == a_growing_one) {
                    if (call->call != add && call->call != put_new)
                        continue;
                    additions_until_growth();
                }
                failed += one_call();
            }
    printf("%d variables: %ld calls, %ld instructions, %ld children, %d calls failed\n", size, totals->calls, totals->steps,
           totals->children, failed);
    return failed != 0;
}

/* Starts over with SIZE variables of the kernel's. */
static void start_with_size(int n, char **arguments) {
    char *entries[MOST], number[16];
    for (int i = 0; i < n; i++)
        entries[i] = entry_of(i, n);
    entries[n] = (char *)library_entry();
    entries[n + 1] = "LD_BIND_NOW=1"; /* no binding while a call is looked at */
    entries[n + 2] = NULL;
    snprintf(number, sizeof number, "%d", n);
    char *command[12] = {(char *)self, (char *)mode, "sized", number};
    for (int i = 0; arguments[i] && i < 6; i++)
        command[4 + i] = arguments[i];
    execve(self, command, entries);
    FAIL("no exec");
}

static void take_arguments(char **arguments) {
    if (!arguments[0])
        return;
    stride = atol(arguments[0]);
    CHECK(stride > 0);
    if (arguments[1]) {
        seed = strtoull(arguments[1], NULL, 0);
        all = arguments[2] && strcmp(arguments[2], "all") == 0;
    }
}

int main(int argc, char **argv, char **envp) {
    CHECK(argc > 1);
    self = argv[0];
    mode = argv[1];
    kernels_list = envp;
    must_be_preloaded();
    if (argc > 3 && strcmp(argv[2], "sized") == 0) {
        size = atoi(argv[3]);
        take_arguments(argv + 4);
        return all_calls();
    }
    int failed = 0, chosen = argc > 5 ? argc - 5 : (int)(sizeof sizes / sizeof *sizes);
    for (int i = 0; i < chosen; i++) {
        int n = argc > 5 ? atoi(argv[5 + i]) : sizes[i];
        CHECK(n >= 3 && n <= 190);
        pid_t child = fork();
        if (child == 0)
            start_with_size(n, argv + 2);
        int status;
        CHECK(child > 0 && waitpid(child, &status, 0) == child);
        failed += status != 0;
    }
    return failed != 0;
}

#else

int main(void) {
    puts("skipped: not x86-64");
    return 0;
}

#endif
