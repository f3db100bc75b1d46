/* The lists that processes have: how each comes about. Included by the programs that measure.
 *
 *   built        by setenv, one after the other, from nothing
 *   putenv       by putenv: every string is the program's
 *   assigned     `environ = mine`, and no change since
 *   changed      `environ = mine`, then one setenv
 *   inherited    made by the kernel, and no change since
 *   edited       inherited, and then the program stored a string of its own into a slot of it
 *   KIND-child   in a child that was forked with such a list, after its first setenv
 *
 * All in random order: the sequence of entries has nothing to do with the names. */
#ifndef LISTS_H
#define LISTS_H
#include "common.h"
#include <sys/wait.h>

static const char *const one_more = "ONE_MORE"; /* what the one setenv sets */

static int is_kind(const char *kind, const char *wanted)
{
    size_t length = strlen(wanted);
    return strncmp(kind, wanted, length) == 0 && (kind[length] == '\0' || kind[length] == '-');
}

SHARED_SOMETIMES static int is_from_kernel(const char *kind)
{
    return is_kind(kind, "inherited") || is_kind(kind, "edited");
}

/* Strings and the array from malloc, as where a program makes a list for itself. */
static char **make_entries(unsigned count)
{
    uint16_t sequence[MOST];
    char **entries = calloc(count + 1, sizeof *entries);
    CHECK(entries && count <= MOST);
    for (unsigned i = 0; i < count; i++)
        sequence[i] = (uint16_t)i;
    shuffle(sequence, count);
    for (unsigned i = 0; i < count; i++) {
        char name[NAME_ROOM], value[VALUE_ROOM], entry[NAME_ROOM + VALUE_ROOM];
        name_into(name, sequence[i]);
        value_into(value, sequence[i], 0);
        snprintf(entry, sizeof entry, "%s=%s", name, value);
        entries[i] = strdup(entry);
        CHECK(entries[i]);
    }
    return entries;
}

/* Sets all of the entries, one after the other. */
static void set_entries(const struct contestant *with, char *const *entries)
{
    for (; *entries; entries++) {
        char name[NAME_ROOM];
        const char *value = strchr(*entries, '=') + 1;
        snprintf(name, sizeof name, "%.*s", (int)(value - *entries - 1), *entries);
        CHECK(with->set(name, value, 1) == 0);
    }
}

/* Makes the list of `entries`, and says how many variables it has besides. Of a child's list: returns in the child only; the parent
 * ends as the child does. A list that the kernel made is already there. */
SHARED_SOMETIMES static unsigned make_list(const char *kind, const struct contestant *with, char **entries)
{
    unsigned more = 0;
    if (is_kind(kind, "built")) {
        CHECK(with->clear() == 0);
        set_entries(with, entries);
    } else if (is_kind(kind, "putenv")) {
        CHECK(with->clear() == 0);
        for (char **entry = entries; *entry; entry++)
            CHECK(with->put(*entry) == 0);
    } else if (is_kind(kind, "assigned")) {
        environ = entries;
    } else if (is_kind(kind, "changed")) {
        environ = entries;
        CHECK(with->set(one_more, "1", 1) == 0);
        more++;
    } else if (is_kind(kind, "edited")) {
        environ[0] = strdup(environ[0]);
        CHECK(environ[0]);
    } else if (!is_kind(kind, "inherited")) {
        FAIL("no kind of list is called %s", kind);
    }
    const char *rest = strchr(kind, '-');
    if (!rest)
        return more;
    CHECK(strcmp(rest, "-child") == 0 && more == 0);
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        CHECK(with->set(one_more, "1", 1) == 0);
        return 1;
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    if (status != 0)
        FAIL("the child ended with status %x", (unsigned)status);
    exit(0);
}
#endif
