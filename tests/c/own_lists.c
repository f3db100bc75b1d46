/* Lists that the program assigned to environ are the program's: a value is replaced in its array, by a string that it may free; a removal
 * closes the gap in its array and environ stays; an addition copies, and the array is as it was. Constant lists, lists on a stack, lists
 * freed after they were replaced, NULL, lists cut by a null, entries stored by hand. */
#include "scenes.h"
#include <sys/mman.h>

static char **list_of(const char *words) {
    char **list = calloc(strlen(words) + 4, sizeof *list), *copy = strdup(words), *rest = copy;
    int n = 0;
    CHECK(list && copy);
    for (char *word; (word = strsep(&rest, " "));)
        CHECK((list[n++] = strdup(word)));
    free(copy);
    return list;
}

/* Frees all strings of a list, as whoever made it does, and the array; with other bytes in them first. */
static void free_list(char **list) {
    for (char **slot = list; *slot; slot++) {
        memset(*slot, '#', strlen(*slot));
        free(*slot);
    }
    free(list);
}

#define IS(list, wanted) \
    do { \
        if (!list_is(list, wanted)) { \
            fprintf(stderr, "%s:%d: wanted %s, found", __FILE__, __LINE__, wanted); \
            print_list(stderr, list); \
            _exit(1); \
        } \
    } while (0)

static void replaced_in_place(void) {
    char **own = list_of("PATH=/bin HOME=/root TERM=x");
    char *others[] = {own[0], own[2]};
    environ = own;
    CHECK(setenv("HOME", "/home", 1) == 0 && environ == own);
    IS(own, "PATH=/bin HOME=/home TERM=x");
    CHECK(own[0] == others[0] && own[2] == others[1] && getenv("HOME") == own[1] + 5);
    CHECK(setenv("HOME", "/a/longer/value/than/the/old/one/was", 1) == 0 && environ == own);
    CHECK(setenv("HOME", "", 1) == 0 && setenv("TERM", "y", 1) == 0 && setenv("PATH", "/", 1) == 0);
    IS(own, "PATH=/ HOME= TERM=y");
    CHECK(environ == own && setenv("PATH", "not this", 0) == 0);
    static char put[] = "TERM=put";
    CHECK(putenv(put) == 0 && own[2] == put && environ == own);
    IS(own, "PATH=/ HOME= TERM=put");
    list_is_sound();
}

/* The strings that were put in its place are the program's to free, as all the others; round after round, with values that come again. */
static void what_replaced_is_from_malloc(void) {
    char **saved = environ;
    for (int round = 0; round < 300; round++) {
        char **own = list_of("PATH=/bin HOME=/root TERM=x");
        environ = own;
        CHECK(setenv("HOME", round & 1 ? "/home" : "/other", 1) == 0 && setenv("TERM", "dumb", 1) == 0);
        CHECK(has("HOME", round & 1 ? "/home" : "/other") && has("TERM", "dumb") && has("PATH", "/bin"));
        CHECK(environ == own);
        environ = saved;
        free_list(own);
        CHECK(has("A", "1") && has("TERM", NULL));
    }
    list_is_sound();
}

/* perl's way: each value that it replaces is freed first, through the list. */
static void freed_through_the_list(void) {
    char **own = list_of("PATH=/bin HOME=/root TERM=x");
    environ = own;
    for (int round = 0; round < 300; round++) {
        CHECK(setenv("HOME", round % 3 ? "/home" : "/other", 1) == 0);
        CHECK(environ == own && strncmp(own[1], "HOME=", 5) == 0);
        char *old = own[1];
        CHECK(asprintf(&own[1], "HOME=%d", round) > 0);
        memset(old, '#', strlen(old));
        free(old);
        CHECK(strtol(getenv("HOME"), NULL, 10) == round && has("TERM", "x"));
    }
    IS(own, "PATH=/bin HOME=299 TERM=x");
}

static void gaps_are_closed_in_place(void) {
    char **own = list_of("A=1 B=2 C=3 D=4 E=5");
    environ = own;
    CHECK(unsetenv("C") == 0 && environ == own);
    IS(own, "A=1 B=2 D=4 E=5");
    CHECK(unsetenv("A") == 0 && environ == own);
    IS(own, "B=2 D=4 E=5");
    CHECK(unsetenv("E") == 0 && putenv("ABSENT") == 0 && environ == own);
    IS(own, "B=2 D=4");
    CHECK(putenv("B") == 0 && unsetenv("D") == 0 && environ == own);
    IS(own, "");
    CHECK(setenv("A", "1", 1) == 0);
    LIST("A=1");
}

/* The array of whoever counts, appends and moves its own entries by hand, between changes. */
static void the_program_goes_on_with_its_array(void) {
    char **own = list_of("A=1 B=2 C=3 D=4");
    environ = own;
    CHECK(unsetenv("B") == 0);
    own[3] = strdup("NEW=1");
    own[4] = NULL;
    CHECK(has("NEW", "1"));
    CHECK(setenv("NEW", "2", 1) == 0 && environ == own);
    IS(own, "A=1 C=3 D=4 NEW=2");
    environ = own = realloc(own, 64 * sizeof *own);
    CHECK(own);
    for (int i = 4; i < 60; i++) {
        CHECK(asprintf(&own[i], "M%d=1", i) > 0);
        own[i + 1] = NULL;
        char name[8];
        snprintf(name, sizeof name, "M%d", i);
        CHECK(has(name, "1") && setenv(name, "2", 1) == 0 && has(name, "2") && environ == own);
    }
    CHECK(unsetenv("M4") == 0 && unsetenv("A") == 0 && environ == own && length_of(own) == 58);
    list_is_sound();
    environ = kernels_list;
    free_list(own);
    CHECK(has("A", "1") && has("M5", NULL));
}

static void an_addition_leaves_the_array_alone(void) {
    char **own = list_of("A=1 B=2 C=3");
    char *copy[4];
    memcpy(copy, own, sizeof copy);
    environ = own;
    CHECK(setenv("NEW", "1", 1) == 0 && environ != own);
    LIST("A=1 B=2 C=3 NEW=1");
    CHECK(memcmp(copy, own, sizeof copy) == 0);
    CHECK(setenv("A", "9", 1) == 0 && unsetenv("B") == 0 && clearenv() == 0);
    CHECK(memcmp(copy, own, sizeof copy) == 0);
    environ = own;
    CHECK(putenv("PUT=1") == 0 && environ != own);
    LIST("A=1 B=2 C=3 PUT=1");
    CHECK(memcmp(copy, own, sizeof copy) == 0);
}

static void clearenv_leaves_the_array_alone(void) {
    char **own = list_of("A=1 B=2 C=3");
    char *copy[4];
    memcpy(copy, own, sizeof copy);
    environ = own;
    CHECK(clearenv() == 0 && environ != own);
    LIST("");
    CHECK(memcmp(copy, own, sizeof copy) == 0);
    CHECK(setenv("A", "2", 1) == 0 && memcmp(copy, own, sizeof copy) == 0);
    LIST("A=2");
    environ = own;
    LIST("A=1 B=2 C=3");
    CHECK(unsetenv("A") == 0);
    IS(own, "B=2 C=3");
}

/* Unlike plain libc's, a replacement removes the later ones of a name, and a removal all of them. */
static void duplicates_go(void) {
    char **own = list_of("D=1 A=1 D=2 B=1 D=3 A=2");
    environ = own;
    CHECK(has("D", "1") && setenv("D", "9", 1) == 0 && has("D", "9"));
    CHECK(entries_of(environ, "D") == 1 && has("A", "1"));
    CHECK(unsetenv("A") == 0 && entries_of(environ, "A") == 0 && has("B", "1") && has("D", "9"));
    own = list_of("D=1 D=2 D=3");
    environ = own;
    CHECK(unsetenv("D") == 0 && environ == own && own[0] == NULL);
}

/* Constant memory: of the program's read-only data, and of a page that was made so. */
static const char *const constant_list[] = {"A=1", "B=2", "C=3", NULL};

static void constant_lists(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char **protected = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK((void *)protected != MAP_FAILED);
    memcpy(protected, constant_list, sizeof constant_list);
    CHECK(mprotect(protected, page, PROT_READ) == 0);
    char **lists[] = {(char **)constant_list, protected};
    for (int which = 0; which < 2; which++)
        for (int change = 0; change < 6; change++)
            for (int again = 0; again < 3; again++) {
                environ = lists[which];
                errno = 4711;
                switch (change) {
                case 0: CHECK(setenv("B", "x", 1) == 0); LIST("A=1 B=x C=3"); break;
                case 1: CHECK(putenv("B=put") == 0); LIST("A=1 B=put C=3"); break;
                case 2: CHECK(unsetenv("B") == 0); LIST("A=1 C=3"); break;
                case 3: CHECK(setenv("D", "4", 1) == 0); LIST("A=1 B=2 C=3 D=4"); break;
                case 4: CHECK(clearenv() == 0); LIST(""); break;
                case 5: CHECK(setenv("B", "2", 1) == 0 && unsetenv("ABSENT") == 0); LIST("A=1 B=2 C=3"); break;
                }
                CHECK(errno == 4711);
                IS(lists[which], "A=1 B=2 C=3");
                CHECK(setenv("E", "5", 1) == 0 && has("E", "5"));
                list_is_sound();
            }
}

static void lists_on_a_stack_in_place(void);

/* Two pages, one after the other, of which one is constant: with a list that lies in both, and with a list in each. */
static void lists_of_which_a_part_is_constant(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), slots = page / sizeof(char *);
    for (int constant = 0; constant < 2; constant++)
        for (int one = 0; one < 2; one++) {
            char **list = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), **other = list + slots;
            CHECK((void *)list != MAP_FAILED);
            for (size_t i = 0; i < 2 * slots; i++)
                CHECK(asprintf(&list[i], "L%zu=1", i) > 0);
            list[2 * slots - 1] = NULL;
            if (!one)
                list[slots - 1] = NULL;
            CHECK(mprotect(constant ? other : list, page, PROT_READ) == 0);
            char name[2][16], *entries[2] = {list[1], other[1]};
            sprintf(name[0], "L%d", 1);
            sprintf(name[1], "L%zu", slots + 1);
            /* In the part that can be written, then in the other one; and the other way round. */
            for (int order = 0; order < 2; order++)
                for (int change = 0; change < 2; change++) {
                    int which[2] = {order ? constant : !constant, order ? !constant : constant};
                    for (int i = 0; i < 2; i++) {
                        environ = one || which[i] == 0 ? list : other;
                        if (one && change && which[i] == 0 && !constant)
                            continue; /* (as below, but nothing can be said of the second page) */
                        CHECK((change ? unsetenv(name[which[i]]) : setenv(name[which[i]], "2", 1)) == 0);
                        CHECK(has(name[which[i]], change ? NULL : "2"));
                    }
                    char **constant_part = constant ? other : list;
                    CHECK(constant_part[1] == entries[constant]);
                }
        }
    environ = kernels_list;
}

#if __has_include(<linux/seccomp.h>) && __has_include(<linux/filter.h>)
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* From now on the kernel answers so to the question whether a list can be written. False if it knows no filters. */
static int answer_with(unsigned answer) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, FUTEX_CMD_MASK),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FUTEX_WAKE_OP, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, answer),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* Of a list on the stack nobody is asked: a sandbox may kill for the question. */
static void nothing_is_asked_of_a_stack(void) {
    if (answer_with(SECCOMP_RET_KILL_PROCESS))
        lists_on_a_stack_in_place();
}

/* Where the question is not allowed, a list counts as one that can be written, as for libc. */
static void no_answer_is_an_answer(void) {
    static char *own[] = {"A=1", "B=2", NULL};
    if (!answer_with(SECCOMP_RET_ERRNO | EPERM))
        return;
    environ = own;
    errno = 4711;
    CHECK(setenv("B", "3", 1) == 0 && environ == own && errno == 4711);
    IS(own, "A=1 B=3");
}
#else
static void nothing_is_asked_of_a_stack(void) {}
static void no_answer_is_an_answer(void) {}
#endif

/* Out of the compiler's sight: it warns of lists on a stack. */
static __attribute__((noipa)) void assign(char **list) { environ = list; }

static __attribute__((noinline)) void from_a_stack(int change) {
    char *own[] = {"ON=stack", "OTHER=1", "LAST=1", NULL};
    assign(own);
    switch (change) {
    case 0: CHECK(setenv("ADDED", "1", 1) == 0 && environ != own); break;
    case 1: CHECK(unsetenv("OTHER") == 0 && setenv("ADDED", "1", 1) == 0 && environ != own); break;
    case 2: CHECK(setenv("OTHER", "2", 1) == 0 && putenv("ADDED=1") == 0 && environ != own); break;
    }
    CHECK(strcmp(own[0], "ON=stack") == 0);
}

static __attribute__((noinline)) void overwrite_the_stack(void) {
    volatile char garbage[8192];
    for (size_t i = 0; i < sizeof garbage; i++)
        garbage[i] = 0x5a;
}

/* What was replaced by an addition is not looked at again. */
static void lists_on_a_stack(void) {
    for (int change = 0; change < 3; change++) {
        from_a_stack(change);
        overwrite_the_stack();
        LIST(change == 0 ? "ON=stack OTHER=1 LAST=1 ADDED=1" : change == 1 ? "ON=stack LAST=1 ADDED=1" : "ON=stack OTHER=2 LAST=1 ADDED=1");
        CHECK(setenv("ON", "2", 1) == 0 && unsetenv("LAST") == 0 && has("ON", "2"));
        list_is_sound();
    }
}

/* In place, and taken back before the frame ends. */
static __attribute__((noinline)) void changed_on_a_stack(int change) {
    char *own[] = {"ON=stack", "OTHER=1", "LAST=1", NULL}, **saved = environ;
    assign(own);
    if (change)
        CHECK(unsetenv("ON") == 0);
    else
        CHECK(setenv("OTHER", "2", 1) == 0);
    CHECK(environ == own);
    IS(own, change ? "OTHER=1 LAST=1" : "ON=stack OTHER=2 LAST=1");
    environ = saved;
}

static void lists_on_a_stack_in_place(void) {
    for (int change = 0; change < 20; change++) {
        changed_on_a_stack(change & 1);
        overwrite_the_stack();
        CHECK(setenv("B", change & 1 ? "1" : "2", 1) == 0 && has("A", "1") && has("ON", NULL));
        list_is_sound();
    }
}

static void freed_after_it_was_replaced(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int round = 0; round < 60; round++) {
        char **own = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK((void *)own != MAP_FAILED);
        own[0] = "FREED=later";
        own[1] = "KEPT=1";
        own[2] = "GONE=1";
        environ = own;
        /* What was changed in it before. */
        if (round % 3 == 1)
            CHECK(setenv("GONE", "2", 1) == 0);
        if (round % 3 == 2)
            CHECK(unsetenv("GONE") == 0);
        CHECK(setenv("NEW", "1", 1) == 0 && environ != own);
        if (round & 1)
            CHECK(munmap(own, page) == 0);
        else
            memset(own, 0x5a, page);
        set_numbered("N", 0, 200);
        CHECK(has("FREED", "later") && has("GONE", round % 3 == 0 ? "1" : round % 3 == 1 ? "2" : NULL));
        CHECK(unsetenv("FREED") == 0 && has("FREED", NULL) && has("KEPT", "1") && count("N") == 201);
    }
    /* The same by clearenv and by another list. */
    for (int round = 0; round < 20; round++) {
        char **own = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK((void *)own != MAP_FAILED);
        own[0] = "FREED=later";
        environ = own;
        CHECK(has("FREED", "later") && setenv("FREED", "1", 1) == 0);
        if (round & 1)
            CHECK(clearenv() == 0);
        else
            environ = NULL;
        CHECK(munmap(own, page) == 0);
        CHECK(setenv("A", "1", 1) == 0 && unsetenv("A") == 0 && has("FREED", NULL));
    }
}

static void null_lists(void) {
    for (int change = 0; change < 5; change++) {
        environ = NULL;
        CHECK(has("A", NULL) && !secure_getenv("A"));
        switch (change) {
        case 0: CHECK(setenv("A", "1", 1) == 0); LIST("A=1"); break;
        case 1: CHECK(unsetenv("A") == 0); LIST(""); break;
        case 2: CHECK(putenv("A=2") == 0); LIST("A=2"); break;
        case 3: CHECK(clearenv() == 0); LIST(""); break;
        case 4: CHECK(putenv("A") == 0 && setenv("B", "1", 0) == 0); LIST("B=1"); break;
        }
        CHECK(setenv("Z", "1", 1) == 0 && has("Z", "1") && unsetenv("Z") == 0);
        list_is_sound();
    }
}

/* One array in which the same slots are the environment again and again, its content new each time. */
static void one_array_used_again(void) {
    static char *own[40];
    uint64_t state = 11;
    for (int round = 0; round < 3000; round++) {
        int n = (int)(next_random(&state) >> 9) & 31;
        static char strings[40][24];
        for (int i = 0; i < n; i++) {
            snprintf(strings[i], sizeof strings[i], "R%d_%d=%d", i, round % 7, round);
            own[i] = strings[i];
        }
        own[n] = NULL;
        environ = own;
        char name[24], value[24];
        snprintf(value, sizeof value, "%d", round);
        for (int i = 0; i < n; i += 5) {
            snprintf(name, sizeof name, "R%d_%d", i, round % 7);
            CHECK(has(name, value));
            snprintf(name, sizeof name, "R%d_%d", i, (round + 1) % 7);
            CHECK(has(name, NULL));
        }
        if (n > 3) {
            snprintf(name, sizeof name, "R1_%d", round % 7);
            CHECK((round & 1 ? unsetenv(name) : setenv(name, "new", 1)) == 0 && has(name, round & 1 ? NULL : "new"));
        }
        if (round % 5 == 0)
            CHECK(setenv("ADDED", value, 1) == 0 && length_of(environ) == (size_t)(n + 1 - (n > 3 && (round & 1))));
        list_is_sound();
    }
}

/* Random changes in arrays of the program's, printed: without the library libc prints the same. */
static void random_changes_in_place(void) {
    uint64_t state = scene_arguments[0] ? strtoull(scene_arguments[0], NULL, 0) | 1 : 1;
    for (int round = 0; round < 300; round++) {
        char **own = list_of("N0=a N1=b N2=c N3=d N4=e N5=f N6=g N7=h");
        environ = own;
        for (int step = 0; step < 12; step++) {
            uint64_t r = next_random(&state) >> 8;
            char name[8], value[32];
            snprintf(name, sizeof name, "N%d", (int)(r % 8));
            snprintf(value, sizeof value, "%d", round * 12 + step); /* no string twice: glibc would give one that was freed */
            if (r >> 24 & 1 && getenv(name))
                CHECK(setenv(name, value, 1) == 0);
            else
                CHECK(unsetenv(name) == 0);
            printf("%d", environ == own);
            print_list(stdout, own);
        }
        environ = kernels_list;
        free_list(own);
    }
}

static const struct scene scenes[] = {
    {"replaced_in_place", replaced_in_place, "A=1", EVERYWHERE},
    {"what_replaced_is_from_malloc", what_replaced_is_from_malloc, "A=1", LIBRARY_ONLY}, /* glibc keeps what it made, and gives it again */
    {"freed_through_the_list", freed_through_the_list, "A=1", LIBRARY_ONLY},
    {"gaps_are_closed_in_place", gaps_are_closed_in_place, "A=1", EVERYWHERE},
    {"the_program_goes_on_with_its_array", the_program_goes_on_with_its_array, "A=1", EVERYWHERE},
    {"an_addition_leaves_the_array_alone", an_addition_leaves_the_array_alone, "A=1", EVERYWHERE},
    {"clearenv_leaves_the_array_alone", clearenv_leaves_the_array_alone, "A=1", EVERYWHERE},
    {"duplicates_go", duplicates_go, "A=1", LIBRARY_ONLY},
    {"constant_lists", constant_lists, "A=1", LIBRARY_ONLY},
    {"lists_of_which_a_part_is_constant", lists_of_which_a_part_is_constant, "A=1", LIBRARY_ONLY},
    {"nothing_is_asked_of_a_stack", nothing_is_asked_of_a_stack, "A=1", LIBRARY_ONLY},
    {"no_answer_is_an_answer", no_answer_is_an_answer, "A=1", LIBRARY_ONLY},
    {"lists_on_a_stack", lists_on_a_stack, "A=1", EVERYWHERE},
    {"lists_on_a_stack_in_place", lists_on_a_stack_in_place, "A=1", EVERYWHERE},
    {"freed_after_it_was_replaced", freed_after_it_was_replaced, "A=1", EVERYWHERE},
    {"null_lists", null_lists, "A=1", EVERYWHERE},
    {"one_array_used_again", one_array_used_again, "A=1", EVERYWHERE},
    {"random_changes_in_place", random_changes_in_place, "A=1", EVERYWHERE},
};

int main(int argc, char **argv, char **envp) { return RUN_SCENES(scenes); }
