/* What each call answers, row by row, with every row that is wrong named. No row depends on another. */
#include "check.h"
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum call { GET, SECURE_GET, SET, PUT, UNSET, CLEAR };

struct row {
    const char *what;
    const char *before; /* entries, separated by spaces */
    enum call call;
    const char *name, *value;
    int overwrite;
    int result;          /* of the functions that return an int */
    int error;           /* errno afterwards */
    const char *answer;  /* of the functions that return a string */
    const char *after;   /* the entries, in any order; NULL: as before */
};

#define UNTOUCHED 4711

static const struct row rows[] = {
    {"getenv finds a value", "A=1 B=2", GET, "B", 0, 0, 0, UNTOUCHED, "2", 0},
    {"getenv finds an empty value", "A=", GET, "A", 0, 0, 0, UNTOUCHED, "", 0},
    {"getenv finds nothing", "A=1", GET, "B", 0, 0, 0, UNTOUCHED, 0, 0},
    {"getenv finds nothing in an empty list", "", GET, "A", 0, 0, 0, UNTOUCHED, 0, 0},
    {"getenv does not match the start of a name", "AB=1", GET, "A", 0, 0, 0, UNTOUCHED, 0, 0},
    {"getenv does not match a longer name", "A=1", GET, "AB", 0, 0, 0, UNTOUCHED, 0, 0},
    {"getenv of an empty name", "=x A=1", GET, "", 0, 0, 0, UNTOUCHED, 0, 0},
    {"getenv of NULL", "A=1", GET, 0, 0, 0, 0, UNTOUCHED, 0, 0},
    {"getenv of a name with =", "A=B=C", GET, "A=B", 0, 0, 0, UNTOUCHED, 0, 0},
    {"getenv of a value with =", "A=B=C", GET, "A", 0, 0, 0, UNTOUCHED, "B=C", 0},
    {"getenv of an entry without =", "A B=1", GET, "A", 0, 0, 0, UNTOUCHED, 0, 0},
    {"getenv takes the first of two", "A=1 A=2", GET, "A", 0, 0, 0, UNTOUCHED, "1", 0},
    {"getenv takes bytes as they are", "\xff\xfe=\x80", GET, "\xff\xfe", 0, 0, 0, UNTOUCHED, "\x80", 0},
    {"secure_getenv finds a value", "A=1", SECURE_GET, "A", 0, 0, 0, UNTOUCHED, "1", 0},
    {"secure_getenv finds nothing", "A=1", SECURE_GET, "B", 0, 0, 0, UNTOUCHED, 0, 0},
    {"secure_getenv of an empty name", "=x", SECURE_GET, "", 0, 0, 0, UNTOUCHED, 0, 0},
    {"secure_getenv of NULL", "A=1", SECURE_GET, 0, 0, 0, 0, UNTOUCHED, 0, 0},
    {"secure_getenv of a name with =", "A=B=C", SECURE_GET, "A=B", 0, 0, 0, UNTOUCHED, 0, 0},
    {"setenv adds", "A=1", SET, "B", "2", 1, 0, UNTOUCHED, 0, "A=1 B=2"},
    {"setenv adds to an empty list", "", SET, "B", "2", 1, 0, UNTOUCHED, 0, "B=2"},
    {"setenv adds without overwrite", "A=1", SET, "B", "2", 0, 0, UNTOUCHED, 0, "A=1 B=2"},
    {"setenv replaces", "A=1 B=2", SET, "A", "3", 1, 0, UNTOUCHED, 0, "A=3 B=2"},
    {"setenv takes any overwrite but 0", "A=1 B=2", SET, "A", "3", -1, 0, UNTOUCHED, 0, "A=3 B=2"},
    {"setenv keeps without overwrite", "A=1 B=2", SET, "A", "3", 0, 0, UNTOUCHED, 0, 0},
    {"setenv of an equal value", "A=1", SET, "A", "1", 1, 0, UNTOUCHED, 0, 0},
    {"setenv of an empty value", "A=1", SET, "A", "", 1, 0, UNTOUCHED, 0, "A="},
    {"setenv of a value with =", "", SET, "A", "B=C", 1, 0, UNTOUCHED, 0, "A=B=C"},
    {"setenv of a value that starts with =", "", SET, "A", "=", 1, 0, UNTOUCHED, 0, "A=="},
    {"setenv leaves one of two", "A=1 A=2", SET, "A", "3", 1, 0, UNTOUCHED, 0, "A=3"},
    {"setenv carries what is no variable", "A =x", SET, "B", "1", 1, 0, UNTOUCHED, 0, "A =x B=1"},
    {"setenv beside an entry without =", "A", SET, "A", "1", 1, 0, UNTOUCHED, 0, "A A=1"},
    {"setenv of NULL", "A=1", SET, 0, "1", 1, -1, EINVAL, 0, 0},
    {"setenv of an empty name", "A=1", SET, "", "1", 1, -1, EINVAL, 0, 0},
    {"setenv of a name with =", "A=1", SET, "A=B", "1", 1, -1, EINVAL, 0, 0},
    {"setenv of a name that is =", "A=1", SET, "=", "1", 1, -1, EINVAL, 0, 0},
    {"setenv of NULL without overwrite", "A=1", SET, 0, "1", 0, -1, EINVAL, 0, 0},
    {"setenv to NULL", "A=1", SET, "A", 0, 1, -1, EINVAL, 0, 0},
    {"setenv to NULL without overwrite", "A=1", SET, "A", 0, 0, -1, EINVAL, 0, 0},
    {"putenv adds", "A=1", PUT, "B=2", 0, 0, 0, UNTOUCHED, 0, "A=1 B=2"},
    {"putenv replaces", "A=1 B=2", PUT, "A=3", 0, 0, 0, UNTOUCHED, 0, "A=3 B=2"},
    {"putenv of an empty value", "A=1", PUT, "A=", 0, 0, 0, UNTOUCHED, 0, "A="},
    {"putenv leaves one of two", "A=1 A=2", PUT, "A=3", 0, 0, 0, UNTOUCHED, 0, "A=3"},
    {"putenv without = removes", "A=1 B=2", PUT, "A", 0, 0, 0, UNTOUCHED, 0, "B=2"},
    {"putenv without = removes all", "A=1 B=2 A=3", PUT, "A", 0, 0, 0, UNTOUCHED, 0, "B=2"},
    {"putenv without = of nothing", "B=2", PUT, "A", 0, 0, 0, UNTOUCHED, 0, 0},
    {"putenv of a value alone", "A=1", PUT, "=x", 0, 0, -1, EINVAL, 0, 0},
    {"putenv of =", "A=1", PUT, "=", 0, 0, -1, EINVAL, 0, 0},
    {"putenv of an empty string", "A=1", PUT, "", 0, 0, -1, EINVAL, 0, 0},
    {"putenv of NULL", "A=1", PUT, 0, 0, 0, -1, EINVAL, 0, 0},
    {"unsetenv removes", "A=1 B=2 C=3", UNSET, "B", 0, 0, 0, UNTOUCHED, 0, "A=1 C=3"},
    {"unsetenv removes the first", "A=1 B=2", UNSET, "A", 0, 0, 0, UNTOUCHED, 0, "B=2"},
    {"unsetenv removes the last", "A=1 B=2", UNSET, "B", 0, 0, 0, UNTOUCHED, 0, "A=1"},
    {"unsetenv removes the only one", "A=1", UNSET, "A", 0, 0, 0, UNTOUCHED, 0, ""},
    {"unsetenv removes all of a name", "A=1 B=2 A=3 A=4", UNSET, "A", 0, 0, 0, UNTOUCHED, 0, "B=2"},
    {"unsetenv of nothing", "A=1", UNSET, "B", 0, 0, 0, UNTOUCHED, 0, 0},
    {"unsetenv in an empty list", "", UNSET, "B", 0, 0, 0, UNTOUCHED, 0, 0},
    {"unsetenv of an entry without =", "A B=1", UNSET, "A", 0, 0, 0, UNTOUCHED, 0, 0},
    {"unsetenv keeps the others", "A=1 B=2 C=4", UNSET, "C", 0, 0, 0, UNTOUCHED, 0, "A=1 B=2"},
    {"unsetenv of NULL", "A=1", UNSET, 0, 0, 0, -1, EINVAL, 0, 0},
    {"unsetenv of an empty name", "A=1 =x", UNSET, "", 0, 0, -1, EINVAL, 0, 0},
    {"unsetenv of a name with =", "A=B=C", UNSET, "A=B", 0, 0, -1, EINVAL, 0, 0},
    {"clearenv empties", "A=1 B=2 C", CLEAR, 0, 0, 0, 0, UNTOUCHED, 0, ""},
    {"clearenv of an empty list", "", CLEAR, 0, 0, 0, 0, UNTOUCHED, 0, ""},
};

static char copies[16][64];
static char *list[16];

/* Makes TEXT the list: array and strings are this program's. */
static int split(const char *text, char *into[16], char buffers[16][64]) {
    int n = 0;
    while (*text) {
        size_t length = strcspn(text, " ");
        snprintf(buffers[n], sizeof buffers[n], "%.*s", (int)length, text);
        into[n] = buffers[n];
        n++;
        text += length + (text[length] == ' ');
    }
    into[n] = NULL;
    return n;
}

static int same_list(const char *wanted) {
    static char buffers[16][64];
    char *entries[16];
    int n = split(wanted, entries, buffers), found = 0;
    for (char **slot = environ; slot && *slot; slot++, found++) {
        int i = 0;
        while (i < n && (!entries[i] || strcmp(*slot, entries[i]) != 0))
            i++;
        if (i == n)
            return 0;
        entries[i] = NULL;
    }
    return found == n;
}

static const char *perform(const struct row *row, int *result) {
    /* Through buffers, as programs do, so that nothing but the bytes can matter. */
    static char name[64], value[64], *put[sizeof rows / sizeof *rows];
    char *n = null_string, *v = null_string;
    if (row->name)
        n = strcpy(name, row->name);
    if (row->value)
        v = strcpy(value, row->value);
    switch (row->call) {
    case GET: return getenv(n);
    case SECURE_GET: return secure_getenv(n);
    case SET: *result = setenv(n, v, row->overwrite); break;
    case PUT: *result = putenv(n ? put[row - rows] = strdup(n) : n); break;
    case UNSET: *result = unsetenv(n); break;
    case CLEAR: *result = clearenv(); break;
    }
    memset(name, 'X', sizeof name - 1); /* what was kept is a copy */
    memset(value, 'X', sizeof value - 1);
    return NULL;
}

/* One row, on a list of the program's or on one of the library's. */
static int row_is_right(const struct row *row, int adopted) {
    split(row->before, list, copies);
    environ = list;
    if (adopted) {
        /* A direct store of the whole list into an array of the library's: duplicates stay. */
        clearenv();
        for (int i = 0; i < 16; i++) {
            char filler[8];
            snprintf(filler, sizeof filler, "F%d", i);
            setenv(filler, "", 1);
        }
        int i = 0;
        for (; list[i]; i++)
            environ[i] = list[i];
        environ[i] = NULL;
    }
    char **head = environ;
    int result = 0;
    errno = UNTOUCHED;
    const char *answer = perform(row, &result);
    int error = errno;
    int wrong = 0;
    if (result != row->result)
        wrong |= fprintf(stderr, "%s: returned %d, not %d\n", row->what, result, row->result);
    if (error != row->error)
        wrong |= fprintf(stderr, "%s: errno is %d, not %d\n", row->what, error, row->error);
    if (!answer != !row->answer || (answer && strcmp(answer, row->answer) != 0))
        wrong |= fprintf(stderr, "%s: %s, not %s\n", row->what, answer ? answer : "NULL", row->answer ? row->answer : "NULL");
    if (!same_list(row->after ? row->after : row->before)) {
        wrong |= fprintf(stderr, "%s: the list is", row->what);
        for (char **slot = environ; slot && *slot; slot++)
            fprintf(stderr, " %s", *slot);
        fputc('\n', stderr);
    }
    if ((row->call == GET || row->call == SECURE_GET || row->result < 0) && environ != head)
        wrong |= fprintf(stderr, "%s: environ was moved\n", row->what);
    if (wrong && adopted)
        fprintf(stderr, "(in a list of the library's)\n");
    return !wrong;
}

/* Makes the process look privileged to secure_getenv, as the kernel does for set-user-ID programs. */
static int secure;
unsigned long getauxval(unsigned long type) { return type == AT_SECURE ? (unsigned long)secure : 0; }

static void privileged_processes_get_nothing(void) {
    CHECK(setenv("A", "1", 1) == 0);
    CHECK(secure_getenv("A"));
    secure = 1;
    CHECK(!secure_getenv("A") && has("A", "1"));
    secure = 0;
    CHECK(secure_getenv("A"));
}

static void putenv_takes_the_string_itself(void) {
    static char string[] = "P=1";
    CHECK(setenv("P", "0", 1) == 0);
    CHECK(putenv(string) == 0 && getenv("P") == string + 2);
    string[2] = '2';
    CHECK(has("P", "2"));
    string[0] = 'Q';
    CHECK(has("P", NULL) && has("Q", "2"));
    /* An equal value is stored all the same: the owner may edit the string later. */
    CHECK(setenv("Q", "2", 1) == 0);
    string[2] = '3';
    CHECK(has("Q", "2"));
    CHECK(unsetenv("Q") == 0 && has("Q", NULL));
}

static void values_stay(void) {
    CHECK(setenv("S", "first", 1) == 0);
    const char *first = getenv("S");
    CHECK(setenv("S", "second", 1) == 0);
    const char *second = getenv("S");
    CHECK(unsetenv("S") == 0);
    for (int i = 0; i < 1000; i++) {
        char value[32];
        snprintf(value, sizeof value, "later %d", i);
        CHECK(setenv("S", value, 1) == 0);
    }
    CHECK(clearenv() == 0);
    CHECK(strcmp(first, "first") == 0 && strcmp(second, "second") == 0);
}

static void without_overwrite_nothing_is_allocated(void) {
    enum { LENGTH = 4096 };
    static char value[LENGTH + 1];
    memset(value, 'x', LENGTH);
    CHECK(setenv("W", "1", 1) == 0);
    long before = status_kib("VmSize:");
    for (int i = 0; i < 20000; i++) {
        snprintf(value, 16, "%d", i);
        value[strlen(value)] = '.';
        CHECK(setenv("W", value, 0) == 0);
    }
    CHECK(status_kib("VmSize:") - before < 1024 && has("W", "1")); /* 80 MB otherwise */
}

/* The kernel refuses more memory: in a child, for good. */
static void out_of_memory_changes_nothing(void) {
    enum { LENGTH = 64 << 20 };
    char *value = malloc(LENGTH + 1), *array[] = {"A=1", "B=2", NULL};
    CHECK(value);
    memset(value, 'x', LENGTH);
    value[LENGTH] = 0;
    pid_t child = fork();
    if (child == 0) {
        environ = array;
        for (int adopted = 0; adopted < 2; adopted++) {
            struct rlimit limit = {(rlim_t)status_kib("VmSize:") * 1024 + (1 << 20), RLIM_INFINITY}, old;
            CHECK(getrlimit(RLIMIT_AS, &old) == 0 && setrlimit(RLIMIT_AS, &limit) == 0);
            if (mmap(NULL, LENGTH, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) {
                printf("skipped: this emulator does not limit memory\n");
                fflush(stdout);
                _exit(0);
            }
            errno = 0;
            CHECK(setenv("B", value, 1) == -1 && errno == ENOMEM);
            errno = 0;
            CHECK(setenv("C", value, 1) == -1 && errno == ENOMEM);
            CHECK(same_list("A=1 B=2"));
            CHECK(setrlimit(RLIMIT_AS, &old) == 0);
            CHECK(setenv("C", value, 1) == 0 && strlen(getenv("C")) == LENGTH);
            CHECK(unsetenv("C") == 0);
            value[0] = 'y';
        }
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    free(value);
}

/* What only execve passes on must survive changes. */
static void odd_entries_reach_a_new_program(char *self) {
    enum { FOREIGN = 77 };
    char twin[] = "A", *array[] = {"A", "=x", "", "B=1", twin, "\xff=\xfe", NULL};
    pid_t child = fork();
    if (child == 0) {
        environ = array;
        CHECK(setenv("LD_PRELOAD", "", 1) == 0 && unsetenv("B") == 0);
        execl(self, self, "odd entries", NULL);
        _exit(errno == ENOEXEC ? FOREIGN : 2);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == FOREIGN)
        printf("skipped: emulated, and the kernel does not start programs of this machine\n");
    else
        CHECK(status == 0);
}

int main(int argc, char **argv) {
    if (argc > 1)
        return !(count("A") == 2 && count("=x") == 1 && count("") == 6 && count("\xff=\xfe") == 1 && count("B") == 0);
    must_be_preloaded();
    int failed = 0, total = sizeof rows / sizeof *rows;
    for (int i = 0; i < total; i++)
        failed += !row_is_right(&rows[i], 0) + !row_is_right(&rows[i], 1);
    CHECK(!failed);
    CHECK(clearenv() == 0);
    privileged_processes_get_nothing();
    putenv_takes_the_string_itself();
    values_stay();
    without_overwrite_nothing_is_allocated();
    out_of_memory_changes_nothing();
    odd_entries_reach_a_new_program(argv[0]);
    printf("%d rows\n", total);
    return 0;
}
