/* Names and entries that end where readable memory ends, or where malloc's does (then memcheck watches): nothing behind them is read,
 * nor in front of them. Expects variables called as `name_of` says, of each length, with the value "inherited". */
#include "check.h"
#include <sys/mman.h>

enum { MOST = 70, ALIGNMENTS = 16 };

/* A page with none before it and none behind it. */
static char *page;
static size_t page_size;

static void name_of(char *name, size_t length) {
    for (size_t i = 0; i < length; i++)
        name[i] = (char)('A' + (i * 7 + length) % 26);
    name[length] = 0;
}

static char *at_the_end(const char *text) {
    return strcpy(page + page_size - strlen(text) - 1, text);
}

static char *at_the_start(const char *text) { return strcpy(page, text); }

/* TEXT in a block that has ALIGNMENT bytes before it, and none behind. */
static char *in_a_block(const char *text, size_t alignment, char **block) {
    CHECK(*block = malloc(alignment + strlen(text) + 1));
    memset(*block, '=', alignment);
    return strcpy(*block + alignment, text);
}

/* The name, and names that are not there: one byte less, more, other. */
static void look(const char *wanted, const char *value) {
    char texts[5][MOST + 2], *block;
    size_t length = strlen(wanted);
    for (int i = 0; i < 5; i++)
        strcpy(texts[i], wanted);
    texts[1][length - 1] = 0;
    strcpy(texts[2] + length, "_");
    texts[3][0] = '_';
    texts[4][length - 1] = '_';
    for (int i = 0; i < 5; i++) {
        const char *expected = i == 0 ? value : NULL;
        if (i == 1)
            expected = getenv(texts[1]); /* shorter names may be there, too */
        CHECK(has(at_the_end(texts[i]), expected));
        CHECK(has(at_the_start(texts[i]), expected));
        for (size_t alignment = 0; alignment < ALIGNMENTS; alignment++) {
            CHECK(has(in_a_block(texts[i], alignment, &block), expected));
            free(block);
        }
    }
}

static void look_at_all(const char *value) {
    char name[MOST + 1];
    for (size_t length = 1; length <= MOST; length++) {
        name_of(name, length);
        look(name, value);
    }
    CHECK(has(at_the_end(""), NULL) && has(at_the_end("="), NULL) && has(at_the_end("A="), NULL));
}

/* Names for the changes, in the same places. */
static void change_all(void) {
    char name[MOST + 1], *block, *value;
    for (size_t length = 1; length <= MOST; length++) {
        name_of(name, length);
        for (size_t alignment = 0; alignment < ALIGNMENTS; alignment++) {
            char *text = in_a_block(name, alignment, &block);
            char *const new_value = in_a_block(alignment % 2 ? "one" : "another", 15 - alignment, &value);
            CHECK(setenv(text, new_value, 1) == 0 && has(text, new_value));
            free(value);
            free(block);
        }
        CHECK(unsetenv(at_the_end(name)) == 0 && has(name, NULL));
        CHECK(setenv(at_the_end(name), "set", 1) == 0 && has(name, "set"));
        CHECK(setenv("VALUE", at_the_end(name), 1) == 0 && has("VALUE", name));
    }
}

/* Entries of the program's own, where no byte behind the NUL can be read: in its own list, stored into ours, by putenv. */
static void entries_at_the_end(void) {
    char name[MOST + 1], text[MOST + 8];
    for (size_t length = 1; length <= MOST; length++) {
        for (int kind = 0; kind < 4; kind++) {
            static const char *const rests[] = {"=", "=x", "=value", ""}; /* without a value, without a name */
            name_of(name, length);
            char *entry = at_the_end(strcat(strcpy(text, name), rests[kind]));
            const char *value = kind < 3 ? rests[kind] + 1 : NULL;
            char *list[] = {"FIRST=1", entry, "LAST=1", NULL};
            environ = list;
            CHECK(has(name, value) && has("LAST", "1") && has("NONE", NULL));
            CHECK(setenv("ADOPTED", "1", 1) == 0);
            look("LAST", "1");
            /* It must be out of the list before the page is used for something else. */
            CHECK(clearenv() == 0 && setenv("SLOT", "1", 1) == 0 && setenv("OTHER", "1", 1) == 0);
            at_the_end(text);
            environ[0] = entry; /* where SLOT was: there is one thread */
            CHECK(has(name, value) && has("OTHER", "1") && has("NONE", NULL));
            name[length - 1] = '_';
            CHECK(has(name, NULL));
            if (kind < 3) {
                CHECK(clearenv() == 0 && putenv(entry) == 0);
                CHECK(has(name, NULL));
                name_of(name, length);
                CHECK(has(name, value) && setenv("OTHER", "1", 1) == 0 && has(name, value));
                CHECK(unsetenv(name) == 0 && has(name, NULL));
            }
        }
    }
}

int main(void) {
    must_be_preloaded();
    page_size = (size_t)sysconf(_SC_PAGESIZE);
    char *memory = mmap(NULL, 3 * page_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    page = memory + page_size;
    CHECK(mprotect(page, page_size, PROT_READ | PROT_WRITE) == 0);
    look_at_all("inherited"); /* at first by plain scans, long before the end by hints */
    look_at_all("inherited");
    change_all();
    look_at_all("set");
    entries_at_the_end();
    puts("within bounds");
    return 0;
}
