/* Shows what a million changes leave behind in memory, and fails if it is more than it may be.
 *
 *   memory CASE LIB    LIB: the preload library, or "libc" (which is shown, and never fails)
 *
 * CASE: toggle, equal, two-values, many-names, distinct LENGTH. Prints a line for `run`: the case, bytes that became resident, bytes
 * of the strings that were new, bytes allowed. */
#include "common.h"

enum { CHANGES = 1000000, WARM = 1000, NAMES = 100, VARIABLES = 40 };
/* Pages that stdio, the stack or a table may still touch, though none was seen to. */
static const double SLACK = 64 * 1024, SHARE = 0.10;

static double resident(void)
{
    char text[4096];
    unsigned long kib;
    FILE *file = fopen("/proc/self/smaps_rollup", "r"); /* counted page by page; statm lags behind */
    CHECK(file);
    while (fgets(text, sizeof text, file))
        if (sscanf(text, "Rss: %lu kB", &kib) == 1) {
            fclose(file);
            return (double)kib * 1024;
        }
    FAIL("no Rss");
}

static struct contestant who;
static unsigned value_length;
static double string_bytes;

/* One change, the i-th. */
static void change(const char *what, unsigned i)
{
    static char names[NAMES][NAME_ROOM], value[256];
    if (!*names[0])
        for (unsigned j = 0; j < NAMES; j++)
            name_into(names[j], VARIABLES + j);
    if (strcmp(what, "toggle") == 0) {
        CHECK(who.set("TOGGLED", "tcp://10.96.0.1:443", 1) == 0 && who.unset("TOGGLED") == 0);
    } else if (strcmp(what, "equal") == 0) {
        CHECK(who.set("PATH", "/usr/local/bin:/usr/bin:/bin", 1) == 0);
    } else if (strcmp(what, "two-values") == 0) {
        CHECK(who.set("PATH", i % 2 ? "/usr/local/bin:/usr/bin:/bin" : "/usr/bin:/bin", 1) == 0);
    } else if (strcmp(what, "many-names") == 0) {
        const char *name = names[i % NAMES];
        CHECK(i / NAMES % 2 ? who.unset(name) == 0 : who.set(name, "10.96.0.1", 1) == 0);
    } else if (strcmp(what, "distinct") == 0) {
        snprintf(value, sizeof value, "%0*u", (int)value_length, i);
        CHECK(who.set("REQUEST_ID", value, 1) == 0);
        string_bytes += (double)(sizeof "REQUEST_ID=" + value_length);
        const char *now = who.get("REQUEST_ID");
        CHECK(now && strcmp(now, value) == 0);
    } else {
        FAIL("no case %s", what);
    }
}

int main(int argc, char **argv)
{
    CHECK(argc >= 3);
    const char *what = argv[1], *library = argv[argc - 1];
    int is_libc = strcmp(library, "libc") == 0;
    who = is_libc ? libc_itself() : ours_from(library);
    value_length = argc > 3 ? (unsigned)atoi(argv[2]) : 0;
    CHECK(value_length < 250);
    CHECK(who.clear() == 0);
    char name[NAME_ROOM], value[VALUE_ROOM];
    for (unsigned i = 0; i < VARIABLES; i++) {
        name_into(name, i);
        value_into(value, i, 0);
        CHECK(who.set(name, value, 1) == 0);
    }
    for (unsigned i = 0; i < WARM; i++)
        change(what, i);
    resident(); /* stdio's own buffer */
    string_bytes = 0;
    double before = resident();
    for (unsigned i = 0; i < CHANGES; i++)
        change(what, WARM + i);
    double grown = resident() - before, allowed = string_bytes * (1 + SHARE) + SLACK;
    char length[32] = "";
    if (value_length)
        snprintf(length, sizeof length, " values of %u bytes", value_length);
    printf("memory\t%s%s\t%s\t%.0f\t%.0f\t%.0f\n", what, length, is_libc ? "libc" : "ours", grown, string_bytes, allowed);
    return !is_libc && grown > allowed;
}
