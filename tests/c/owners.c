/* Whose string it is: one that was put, or stored by hand, stays its owner's, wherever it came from and whatever happens to the list
 * around it. The owner renames it in place: getenv finds what a scan of the list finds. After the mode: "ARG=baz", whose bytes one of
 * the scenes gives away. */
#include "scenes.h"

enum source {
    KERNELS_VALUE,   /* the value of one of the kernel's strings, itself of the form NAME=VALUE */
    KERNELS_STRING,  /* one of the kernel's strings */
    ARGUMENT,        /* one of the program's arguments */
    ALLOCATED,       /* from malloc */
    STATIC,
    SET_VALUE,       /* the value of a string that setenv made */
    SET_TOKEN,       /* a part of one, after strtok */
    SET_STRING,      /* one itself */
    SOURCES,
};

enum entry { PUT, STORED, APPENDED, IN_AN_OWN_LIST, ENTRIES };

enum journey {
    NONE,
    CHANGE_IN_PLACE,
    REMOVALS_AROUND,
    GROWTH,
    COPIED_AND_ADDED_TO,
    COPIED_AND_CHANGED,
    COPIED_TWICE,
    CHILD,
    GRANDCHILD,
    CHILD_WITH_A_COPY,
    THREE_DEEP,
    THREADS,
    SET_ASIDE, /* removed and put again */
    JOURNEYS,
};

static const char *const source_names[] = {"value of the kernel's", "string of the kernel's", "argument", "malloc", "static",
                                           "value of setenv", "token of setenv", "string of setenv"};
static const char *const entry_names[] = {"put", "stored", "appended", "in an own list"};
static const char *const journey_names[] = {"none", "change in place", "removals around", "growth", "copied, added to", "copied, changed",
                                            "copied twice", "child", "grandchild", "child with a copy", "three deep", "threads", "set aside"};

static void read_often(void) {
    for (int i = 0; i < 6000; i++)
        CHECK(has("ABSENT", NULL));
}

static char *string_from(enum source source) {
    static char fixed[] = "FIX=baz";
    switch (source) {
    case KERNELS_VALUE: return getenv("FOO_DEF");
    case KERNELS_STRING: return getenv("KRN") - 4;
    case ARGUMENT: {
        char *string = scene_arguments[0];
        CHECK(string && strcmp(string, "ARG=baz") == 0);
        scene_arguments[0] = strdup(string); /* no longer among the arguments */
        return string;
    }
    case ALLOCATED: return strdup("MAL=baz");
    case STATIC: return fixed;
    case SET_VALUE: CHECK(setenv("HOLDER", "VAL=baz", 1) == 0); return getenv("HOLDER");
    case SET_TOKEN:
        CHECK(setenv("CONF", "x:TOK=baz:y", 1) == 0 && strtok(getenv("CONF"), ":"));
        return strtok(NULL, ":");
    case SET_STRING: CHECK(setenv("SET", "baz", 1) == 0); return getenv("SET") - 4;
    default: FAIL("no such source");
    }
}

static char **copied_list(void) {
    size_t n = length_of(environ);
    char **list = calloc(n + 8, sizeof *list);
    CHECK(list);
    memcpy(list, environ, n * sizeof *list);
    return list;
}

static void enter(char *string, enum entry entry) {
    char **list;
    switch (entry) {
    case PUT: CHECK(putenv(string) == 0); break;
    case STORED: environ[1] = string; break;
    case APPENDED:
        CHECK(setenv("ROOM1", "1", 1) == 0 && setenv("ROOM2", "1", 1) == 0 && unsetenv("ROOM1") == 0 && unsetenv("ROOM2") == 0);
        list = environ + length_of(environ);
        list[1] = NULL;
        list[0] = string;
        break;
    case IN_AN_OWN_LIST:
        list = copied_list();
        list[length_of(list)] = string;
        environ = list;
        break;
    default: FAIL("no such entry");
    }
}

static const char *what; /* for the message */
static int wrong;

static void agrees(const char *name) {
    const char *wanted = scan(environ, name), *found = getenv(name);
    if (wanted != found) {
        fprintf(stderr, "%s: a scan finds %s, getenv %s for %s\n", what, wanted ? wanted : "nothing", found ? found : "nothing", name);
        wrong = 1;
    }
}

/* Renames it, to and fro, and asks. */
static void owner_renames(char *string) {
    char name[4] = {string[0], string[1], string[2], 0};
    agrees(name);
    CHECK(scan(environ, name) == string + 4);
    memcpy(string, "QUX", 3);
    agrees(name), agrees("QUX");
    CHECK(scan(environ, "QUX") == string + 4);
    read_often();
    agrees(name), agrees("QUX");
    memcpy(string, name, 3);
    agrees(name), agrees("QUX");
    memcpy(string, "QU", 3); /* no longer an entry */
    agrees(name), agrees("QUX"), agrees("QU");
    memcpy(string, name, 3);
    agrees(name), agrees("QUX");
}

/* The same in a child after CHANGE. */
static void in_a_child(char *string, void (*change)(char *)) {
    pid_t child = fork();
    if (child == 0) {
        change(string);
        owner_renames(string);
        _exit(wrong);
    }
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    if (status) {
        fprintf(stderr, "%s: in a child: status %#x\n", what, status);
        wrong = 1;
    }
}

static void add(char *unused) {
    (void)unused;
    CHECK(setenv("ADDED", "1", 1) == 0);
}

static void copy_and_add(char *unused) {
    environ = copied_list();
    add(unused);
}

static void change_in_a_child_and_its_child(char *string) {
    add(string);
    in_a_child(string, add);
    CHECK(setenv("ADDED", "2", 1) == 0);
}

static void go(char *string, enum journey journey) {
    static char *own[] = {"OWN=1", NULL};
    char **saved = environ, **middle;
    char name[4] = {string[0], string[1], string[2], 0};
    switch (journey) {
    case NONE: break;
    case CHANGE_IN_PLACE: CHECK(setenv("LAST", "2", 1) == 0); break;
    case REMOVALS_AROUND: CHECK(unsetenv("FIRST") == 0 && unsetenv("LAST") == 0 && unsetenv("M3") == 0); break;
    case GROWTH: set_numbered("G", 0, 300); break;
    case COPIED_AND_ADDED_TO: copy_and_add(NULL); break;
    case COPIED_AND_CHANGED:
        environ = copied_list();
        CHECK(setenv("LAST", "2", 1) == 0 && unsetenv("FIRST") == 0);
        break;
    case COPIED_TWICE: copy_and_add(NULL), copy_and_add(NULL); break;
    case CHILD: in_a_child(string, add); break;
    case GRANDCHILD: in_a_child(string, change_in_a_child_and_its_child); break;
    case CHILD_WITH_A_COPY: in_a_child(string, copy_and_add); break;
    case THREE_DEEP:
        CHECK(setenv("LAST", "2", 1) == 0);
        environ = own;
        CHECK(setenv("A", "1", 1) == 0 && setenv("B", "1", 1) == 0);
        middle = environ;
        environ = NULL;
        CHECK(setenv("A", "1", 1) == 0);
        environ = middle;
        CHECK(unsetenv("B") == 0);
        environ = saved;
        CHECK(has("LAST", "2") && setenv("LAST", "3", 1) == 0);
        break;
    case THREADS:
        have_a_second_thread();
        CHECK(unsetenv("LAST") == 0 && setenv("ADDED", "1", 1) == 0 && unsetenv("FIRST") == 0 && unsetenv("ADDED") == 0);
        break;
    case SET_ASIDE:
        CHECK(unsetenv(name) == 0 && has(name, NULL) && setenv("ADDED", "1", 1) == 0 && putenv(string) == 0);
        break;
    default: FAIL("no such journey");
    }
}

static void all_sources(enum entry entry) {
    int failed = 0;
    for (int source = 0; source < SOURCES; source++)
        for (int journey = 0; journey < JOURNEYS; journey++)
            for (int often = 0; often < 2; often++) {
                if (journey == THREE_DEEP && !with_library())
                    continue; /* plain libc uses the saved array for another list */
                if ((source == SET_STRING || source == KERNELS_STRING) && entry != PUT)
                    continue; /* names in strings that setenv or the kernel made are renamed only by who put them */
                pid_t child = fork();
                if (child == 0) {
                    static char text[200];
                    snprintf(text, sizeof text, "%s, %s, %s%s", source_names[source], entry_names[entry], journey_names[journey],
                             often ? ", read often" : "");
                    what = text;
                    char *string = string_from(source);
                    enter(string, entry);
                    if (often)
                        read_often();
                    go(string, journey);
                    owner_renames(string);
                    _exit(wrong);
                }
                int status;
                CHECK(child > 0 && waitpid(child, &status, 0) == child);
                failed += status != 0;
                if (status > 0xff || WIFSIGNALED(status))
                    fprintf(stderr, "(%s, %s, %s: status %#x)\n", source_names[source], entry_names[entry], journey_names[journey], status);
            }
    if (failed)
        FAIL("%d failed", failed);
}

static void strings_that_were_put(void) { all_sources(PUT); }
static void strings_stored_by_hand(void) { all_sources(STORED); }
static void strings_appended_by_hand(void) { all_sources(APPENDED); }
static void strings_in_an_own_list(void) { all_sources(IN_AN_OWN_LIST); }

/* Strings of the kernel's that the program wipes, or wipes but for copies of some. */
static void wiped_strings(void) {
    what = "wiped";
    read_often();
    char *string = getenv("FOO_DEF") - 8;
    memset(string, 0, strlen(string));
    agrees("FOO_DEF"), agrees("FIRST"), agrees("LAST");
    CHECK(has("FOO_DEF", NULL));
    CHECK(setenv("ADDED", "1", 1) == 0);
    agrees("FOO_DEF"), agrees("ADDED");
    CHECK(setenv("FOO_DEF", "again", 1) == 0 && has("FOO_DEF", "again") && !wrong);
}

/* The replacement of unsetenv that portable programs bring: it moves the pointers down by hand. */
static void moved_down_by_hand(void) {
    static const char *const names[] = {"FOO_DEF", "ADDED", "M2", "FIRST"};
    what = "moved down by hand";
    for (int round = 0; round < 4; round++) {
        read_often();
        if (round)
            CHECK(setenv(names[round % 3], "1", 1) == 0);
        for (int i = 0; i < 4; i++) {
            size_t length = strlen(names[i]);
            for (char **slot = environ; *slot;)
                if (strncmp(*slot, names[i], length) == 0 && (*slot)[length] == '=') {
                    char **to = slot;
                    do
                        to[0] = to[1];
                    while (*to++);
                } else {
                    slot++;
                }
            CHECK(has(names[i], NULL));
            agrees("M1"), agrees("M3"), agrees("LAST"), agrees("KRN");
        }
        list_is_sound();
    }
    CHECK(setenv("Y", "1", 1) == 0 && unsetenv("M1") == 0 && has("M1", NULL) && has("Y", "1") && has("LAST", "1") && !wrong);
}

/* One address, several strings. */
static void an_address_used_again(void) {
    what = "address used again";
    CHECK(setenv("Z", "1", 1) == 0);
    char *string = malloc(64);
    CHECK(string);
    environ[1] = strcpy(string, "ABA=1");
    read_often();
    agrees("ABA");
    CHECK(setenv("Q", "1", 1) == 0 && unsetenv("Q") == 0 && unsetenv("Z") == 0 && unsetenv("ABA") == 0 && has("ABA", NULL));
    environ[0] = strcpy(string, "OTHER=2");
    agrees("OTHER"), agrees("ABA");
    CHECK(putenv(string) == 0 && setenv("P1", "1", 1) == 0);
    strcpy(string, "THIRD=3");
    agrees("THIRD"), agrees("OTHER");
    CHECK(unsetenv("P1") == 0);
    agrees("THIRD");
    set_numbered("G", 0, 300);
    strcpy(string, "FOURTH=4");
    agrees("FOURTH"), agrees("THIRD");
    CHECK(setenv("FOURTH", "5", 1) == 0 && strcmp(string, "FOURTH=4") == 0 && has("FOURTH", "5") && !wrong);
    /* The same text, interned once, put by its owner the other time: edits of the one are not seen in the other. */
    char same[] = "SAME=text";
    CHECK(setenv("SAME", "text", 1) == 0 && putenv(same) == 0 && setenv("SAME", "text", 1) == 0);
    memcpy(same, "SOME", 4);
    CHECK(has("SAME", "text") && has("SOME", NULL));
    CHECK(putenv(same) == 0 && has("SOME", "text"));
    memcpy(same, "SOLE", 4);
    CHECK(has("SOME", NULL) && has("SOLE", "text"));
}

/* Names of any bytes and of any length. */
static void odd_names(void) {
    static char name[200000];
    CHECK(setenv("\xff\x80z", "high", 1) == 0 && has("\xff\x80z", "high") && has("\xff\x80y", NULL));
    CHECK(setenv(" ", "blank", 1) == 0 && has(" ", "blank") && setenv("a b\n", "lines", 1) == 0 && has("a b\n", "lines"));
    for (size_t length = 1; length < sizeof name; length = length * 3 / 2 + 1) {
        memset(name, 'L', length);
        name[length] = 0;
        CHECK(setenv(name, "long", 1) == 0 && has(name, "long"));
        char kept = name[length / 2];
        name[length / 2] = 'M';
        CHECK(has(name, NULL));
        name[length / 2] = kept;
        name[length] = 'L', name[length + 1] = 0;
        CHECK(has(name, NULL));
        name[length] = 0;
        if (length & 1)
            CHECK(unsetenv(name) == 0 && has(name, NULL));
    }
}

/* What setenv made is never written again, nor given to others: whatever the list goes through. */
static void strings_of_setenv_stay(void) {
    enum { KEPT = 200 };
    const char *kept[KEPT];
    char value[32];
    for (int i = 0; i < KEPT; i++) {
        snprintf(value, sizeof value, "value %d", i);
        CHECK(setenv(i % 3 ? "ONE" : "OTHER", value, 1) == 0);
        kept[i] = getenv(i % 3 ? "ONE" : "OTHER");
        switch (i % 10) {
        case 1: CHECK(unsetenv("ONE") == 0); break;
        case 3: CHECK(clearenv() == 0); break;
        case 5: environ = NULL; break;
        case 7: set_numbered("N", 0, i); break;
        case 9: unset_numbered("N", 0, i); break;
        }
    }
    for (int i = 0; i < 100000; i++) {
        snprintf(value, sizeof value, "later %d", i % 5000);
        CHECK(setenv("ONE", value, 1) == 0);
    }
    for (int i = 0; i < KEPT; i++) {
        snprintf(value, sizeof value, "value %d", i);
        CHECK(strcmp(kept[i], value) == 0);
    }
}

#define VARIABLES "FIRST=1 M1=1 KRN=baz FOO_DEF=BAR=baz M2=1 M3=1 @ LAST=1"

static const struct scene scenes[] = {
    {"strings_that_were_put", strings_that_were_put, VARIABLES, EVERYWHERE},
    {"strings_stored_by_hand", strings_stored_by_hand, VARIABLES, EVERYWHERE},
    {"strings_appended_by_hand", strings_appended_by_hand, VARIABLES, EVERYWHERE},
    {"strings_in_an_own_list", strings_in_an_own_list, VARIABLES, EVERYWHERE},
    {"wiped_strings", wiped_strings, VARIABLES, EVERYWHERE},
    {"moved_down_by_hand", moved_down_by_hand, VARIABLES, EVERYWHERE},
    {"an_address_used_again", an_address_used_again, VARIABLES, LIBRARY_ONLY}, /* glibc interns, and musl frees, what setenv made */
    {"odd_names", odd_names, VARIABLES, EVERYWHERE},
    {"strings_of_setenv_stay", strings_of_setenv_stay, VARIABLES, LIBRARY_ONLY}, /* musl frees them */
};

int main(int argc, char **argv, char **envp) { return RUN_SCENES(scenes); }
