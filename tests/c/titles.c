/* Titles: programs that write over the block in which the kernel put their arguments and variables, and move their environment out of
 * the way first. Four forms of it, each right on plain libc, after nothing, an addition, a removal in the middle, a replacement. What
 * /proc shows is the title; no variable is lost; the environment can be changed afterwards. */
#include "scenes.h"
#include <fcntl.h>

static int argument_count;
static char **argument_list;

/* 100 bytes more than the arguments take: into the variables' part. */
static size_t title_length;

static char *title(void) {
    static char text[2048];
    if (title_length)
        return text;
    size_t own = 0;
    for (int i = 0; i < argument_count; i++)
        own += strlen(argument_list[i]) + 1;
    title_length = own + 100;
    CHECK(title_length < sizeof text - 8);
    memset(text, 't', title_length);
    return memcpy(text, "title: ", 7);
}

static void title_is_shown(void) {
    static char shown[8192];
    int file = open("/proc/self/cmdline", O_RDONLY);
    CHECK(file >= 0);
    ssize_t n = read(file, shown, sizeof shown - 1);
    CHECK(n > 0 && close(file) == 0);
    shown[n] = 0;
    if (strcmp(shown, title()) != 0)
        FAIL("the title is %.60s (%zu bytes)", shown, strlen(shown));
}

static char **copy_of_the_list(void) {
    size_t n = length_of(environ);
    char **list = calloc(n + 1, sizeof *list);
    CHECK(list);
    for (size_t i = 0; i < n; i++)
        CHECK((list[i] = strdup(environ[i])));
    return list;
}

/* The arguments and, as long as they follow each other, the variables are one area; the list is copied, the area written to. */
static void from_the_arguments_on(void) {
    char *end = argument_list[0];
    for (int i = 0; i < argument_count; i++)
        if (argument_list[i] == end)
            end += strlen(end) + 1;
    for (char **slot = environ; *slot; slot++)
        if (*slot == end)
            end += strlen(end) + 1;
    char *text = title();
    CHECK((size_t)(end - argument_list[0]) > title_length);
    environ = copy_of_the_list();
    memset(argument_list[0], 0, (size_t)(end - argument_list[0]));
    memcpy(argument_list[0], text, title_length);
}

/* Who is given copies of its arguments looks for the originals in front of the first variable. */
static void back_from_the_first_variable(void) {
    char *at = environ[0];
    for (int i = argument_count; i-- > 0;) {
        CHECK(at[-1] == 0);
        for (at--; at[-1]; at--)
            ;
        if (strcmp(at, argument_list[i]) != 0)
            FAIL("no argument %d in front of the first variable", i);
        if (i == 0)
            break;
    }
    CHECK(at == argument_list[0]);
    from_the_arguments_on();
}

/* Each slot that points into the block is given a copy; nothing is assigned to environ. */
static void slot_by_slot(void) {
    char *end = argument_list[0];
    for (int i = 0; i < argument_count; i++)
        if (argument_list[i] == end)
            end += strlen(end) + 1;
    for (char **slot = environ; *slot; slot++)
        if (*slot == end) {
            end += strlen(end) + 1;
            CHECK((*slot = strdup(*slot)));
        }
    char *text = title();
    CHECK((size_t)(end - argument_list[0]) > title_length);
    memset(argument_list[0], 0, (size_t)(end - argument_list[0]));
    memcpy(argument_list[0], text, title_length);
}

/* All that the block holds, from environ[0] on, is wiped; then the arguments are written over, and a bit more. */
static void wiped_from_the_first_variable_on(void) {
    char **list = copy_of_the_list(), *first = environ[0];
    size_t size = 0;
    for (char **slot = environ; *slot; slot++)
        if (*slot == first + size)
            size += strlen(*slot) + 1;
    CHECK(size > 100 && strncmp(first, "FIRST=", 6) == 0);
    memset(first, 0, size);
    environ = list;
    char *text = title();
    CHECK(first - argument_list[0] + size > title_length);
    memcpy(argument_list[0], text, title_length + 1);
    /* /proc/self/environ has only the title's rest. */
    static char left[8192];
    int file = open("/proc/self/environ", O_RDONLY);
    CHECK(file >= 0);
    ssize_t n = read(file, left, sizeof left);
    CHECK(n >= (ssize_t)size && close(file) == 0);
    for (size_t i = 128; i < size; i++)
        if (left[i])
            FAIL("byte %zu of the variables was not wiped", i);
}

static char **before;

static void remember(void) { before = copy_of_the_list(); }

static void as_before(size_t more) {
    char name[256];
    CHECK(length_of(environ) == length_of(before) + more);
    for (char **slot = before; *slot; slot++)
        CHECK(name_of(*slot, name, sizeof name) && has(name, *slot + strlen(name) + 1));
    list_is_sound();
}

/* Also after many changes. */
static void all_variables_are_there(void) {
    as_before(0);
    set_numbered("N", 0, 300);
    as_before(300);
    unset_numbered("N", 1, 300);
    as_before(1);
    CHECK(has("N0", "1"));
    CHECK(unsetenv("N0") == 0 && unsetenv("MIDDLE") == 0 && setenv("LAST", "other", 1) == 0);
    CHECK(has("N0", NULL) && has("MIDDLE", NULL) && has("LAST", "other") && has("FIRST", scan(before, "FIRST")));
    list_is_sound();
    title_is_shown();
    pid_t child = fork();
    if (child == 0) {
        CHECK(setenv("CHILD", "1", 1) == 0 && has("LAST", "other") && unsetenv("LAST") == 0);
        title_is_shown();
        list_is_sound();
        _exit(0);
    }
    must_succeed(child);
}

static void nothing(void) {}
static void an_addition(void) { CHECK(setenv("NEW", "1", 1) == 0); }
static void a_removal(void) { CHECK(unsetenv("MIDDLE") == 0); }
static void a_replacement(void) { CHECK(setenv("MIDDLE", "new", 1) == 0); }
static void a_put(void) { CHECK(putenv("PUT=1") == 0); }
static void a_replacement_and_a_removal(void) {
    CHECK(setenv("MIDDLE", "new", 1) == 0 && unsetenv("MIDDLE") == 0);
}
static void an_addition_and_a_removal(void) {
    CHECK(setenv("NEW", "1", 1) == 0 && unsetenv("MIDDLE") == 0);
}
static void a_removal_and_an_addition(void) {
    CHECK(unsetenv("MIDDLE") == 0 && setenv("MIDDLE", "new", 1) == 0);
}
static void a_variable_that_came_and_went(void) {
    CHECK(setenv("NEW", "1", 1) == 0 && unsetenv("NEW") == 0);
}
static void many_reads(void) {
    for (int i = 0; i < 20000; i++)
        CHECK(has("ABSENT", NULL) && has("LAST", "1"));
}
static void growth(void) { set_numbered("G", 0, 200); }

#define FORMS(ROW) \
    ROW(from_the_arguments_on) \
    ROW(back_from_the_first_variable) \
    ROW(slot_by_slot) \
    ROW(wiped_from_the_first_variable_on)
#define BEFORE(ROW, form) \
    ROW(form, nothing) \
    ROW(form, an_addition) \
    ROW(form, a_removal) \
    ROW(form, a_replacement) \
    ROW(form, a_put) \
    ROW(form, a_replacement_and_a_removal) \
    ROW(form, an_addition_and_a_removal) \
    ROW(form, a_removal_and_an_addition) \
    ROW(form, a_variable_that_came_and_went) \
    ROW(form, many_reads) \
    ROW(form, growth)

#define SCENE(form, change) \
    static void form##_after_##change(void) { \
        change(); \
        remember(); \
        form(); \
        title_is_shown(); \
        all_variables_are_there(); \
    }
#define SCENES_OF(form) BEFORE(SCENE, form)
FORMS(SCENES_OF)

#define VARIABLES \
    "FIRST=a_long_one_so_that_a_title_of_100_bytes_more_than_the_arguments_ends_in_it_" \
    "_______________________________________________________________________________________ " \
    "A=1 @ MIDDLE=1 Z=1 LAST=1"
#define ENTRY(form, change) {#form "_after_" #change, form##_after_##change, VARIABLES, EVERYWHERE},
#define ENTRIES_OF(form) BEFORE(ENTRY, form)

static const struct scene scenes[] = {FORMS(ENTRIES_OF)};

int main(int argc, char **argv, char **envp) {
    argument_count = argc;
    argument_list = argv;
    return RUN_SCENES(scenes);
}
