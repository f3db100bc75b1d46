/* Random changes, of the library's kind and of the program's own, ARGV[2] of them from seed ARGV[1]: after each of them getenv
 * returns the very pointer that a scan of environ gives, for names that are there and names that are not. Then large lists, unless there is
 * another argument. */
#include "check.h"

enum { ROOM = 512, POOL = 400, STRINGS = 300, SAVED = 50, LARGE = 10000 };

static uint64_t seed;
static char (*names)[ROOM];
static int name_count;
static char *strings[STRINGS];
static int string_count;
static char **saved[SAVED];
static int saved_count;

static size_t below(size_t end) { return (size_t)(next_random(&seed) >> 33) % end; }

/* The reference: the first entry that starts with NAME and '='. */
static char *scan(const char *name) {
    size_t length = strlen(name);
    if (length == 0 || strchr(name, '='))
        return NULL;
    for (char **slot = environ; slot && *slot; slot++)
        if (strncmp(*slot, name, length) == 0 && (*slot)[length] == '=')
            return *slot + length + 1;
    return NULL;
}

static void compare(const char *name, const char *what) {
    char *found = getenv(name), *expected = scan(name), *secure = secure_getenv(name);
    if (found != expected || secure != expected)
        FAIL("after %s: getenv(\"%s\") is %s at %p, secure_getenv's at %p, a scan finds %s at %p", what, name,
             found ? found : "nothing", (void *)found, (void *)secure, expected ? expected : "nothing", (void *)expected);
}

static const char *any_name(void) { return names[below((size_t)name_count)]; }

static const char *any_value(void) {
    static const char *const values[] = {"", "1", "=", "two", "a=b", "a longer value than most of them are"};
    return values[below(sizeof values / sizeof *values)];
}

/* The text of an entry, some without a name. */
static void write_entry(char *at) {
    switch (below(32)) {
    case 0: strcpy(at, ""); break;
    case 1: strcpy(at, "="); break;
    case 2: sprintf(at, "=%s", any_name()); break;
    case 3: strcpy(at, any_name()); break;
    default: sprintf(at, "%s=%s", any_name(), any_value());
    }
}

/* A string of the program's own, new or in use. */
static char *any_string(void) {
    if (string_count < STRINGS && (string_count < 20 || below(2))) {
        char *string = malloc(ROOM);
        CHECK(string);
        write_entry(string);
        return strings[string_count++] = string;
    }
    return strings[below((size_t)string_count)];
}

static size_t length_of_list(void) {
    size_t n = 0;
    while (environ && environ[n])
        n++;
    return n;
}

/* Names, and what is near to one. */
static void look(const char *what) {
    char name[2 * ROOM];
    for (int i = 0; i < 8; i++) {
        strcpy(name, any_name());
        size_t length = strlen(name);
        switch (below(8)) {
        case 0: name[length - 1] = 0; break;
        case 1: strcat(name, "X"); break;
        case 2: name[below(length)] = "A=_\xff"[below(4)]; break;
        case 3: name[below(length)] = 0; break;
        case 4: strcat(name, "="); break;
        }
        compare(name, what);
    }
    compare("", what);
    compare("=", what);
}

static void look_at_all(const char *what) {
    for (int i = 0; i < name_count; i++)
        compare(names[i], what);
}

static const char *step(void) {
    size_t n = length_of_list(), i = n ? below(n) : 0, j = n ? below(n) : 0;
    switch (below(24)) {
    case 0: case 1: case 2: case 3: case 4:
        CHECK(setenv(any_name(), any_value(), below(4) != 0) == 0);
        return "setenv";
    case 5: case 6: case 7:
        CHECK(unsetenv(any_name()) == 0);
        return "unsetenv";
    case 8: case 9: {
        char *string = any_string(), *equals = strchr(string, '=');
        if (!equals || equals == string)
            break;
        CHECK(putenv(string) == 0);
        return "putenv";
    }
    case 10:
        if (below(30) == 0)
            CHECK(clearenv() == 0);
        return "clearenv";
    /* The program itself from here on. */
    case 11: case 12: case 13:
        if (n == 0)
            break;
        environ[i] = below(3) ? any_string() : environ[j];
        return "a store";
    case 14:
        if (n == 0)
            break;
        {
            char *a = environ[i];
            environ[i] = environ[j];
            environ[j] = a;
        }
        return "an exchange";
    case 15:
        if (n == 0)
            break;
        {
            char **slot = &environ[below(2) ? n - 1 : i], *entry = *slot;
            *slot = NULL;
            look("a cut");
            if (below(8) != 0)
                *slot = entry;
        }
        return "a cut and its repair";
    case 16: {
        if (n == 0 || below(3) != 0)
            break;
        char **to = environ;
        size_t one_in = below(2) ? 3 : 30;
        for (char **from = environ; *from; from++)
            if (below(one_in) != 0)
                *to++ = *from;
        *to = NULL;
        return "compaction in place";
    }
    case 17: {
        if (below(4) != 0)
            break;
        char **list = malloc((n + 61) * sizeof *list);
        size_t count = 0;
        CHECK(list);
        for (size_t k = 0; k < n; k++) {
            if (below(20) != 0)
                list[count++] = environ[k];
            if (count < n + 59 && below(8) == 0)
                list[count++] = any_string();
        }
        for (size_t k = below(8); k > 0 && count < n + 60; k--)
            list[count++] = any_string();
        list[count] = NULL;
        environ = list; /* it may be saved below: never freed */
        return "environ = a list of the program's";
    }
    case 18:
        if (n == 0)
            break;
        environ++;
        look("environ++");
        if (below(4) != 0)
            environ--;
        return "environ++ and back";
    case 19:
        saved[saved_count < SAVED ? saved_count++ : (int)below(SAVED)] = environ;
        if (below(4) == 0)
            environ = saved[below((size_t)saved_count)];
        return "environ = a saved one";
    case 20: case 21: {
        if (string_count == 0)
            break;
        char *string = strings[below((size_t)string_count)], *equals = strchr(string, '=');
        if (below(2) && equals && equals > string)
            string[below((size_t)(equals - string))] = "XYN_"[below(4)]; /* the same length */
        else
            write_entry(string);
        return "a new name for a string";
    }
    case 22: {
        char *equals = n ? strchr(environ[i], '=') : NULL;
        if (!equals || equals == environ[i])
            break;
        char name[ROOM];
        *equals = 0;
        strcpy(name, environ[i]);
        compare(name, "a cut at the =");
        look("a cut at the =");
        *equals = '=';
        compare(name, "a mended =");
        return "a mended =";
    }
    case 23:
        if (n && below(40) == 0)
            environ = NULL;
        return "environ = NULL";
    }
    return "nothing";
}

/* Around the sizes at which names are looked at in another way; names of one length differ in one byte. */
static void make_names(void) {
    static const int lengths[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40, 41, 64, 300};
    names = calloc(POOL, sizeof *names);
    CHECK(names);
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
        int length = lengths[l], places[] = {-1, 0, 7, length / 2, length - 33, length - 32, length - 1};
        for (size_t p = 0; p < sizeof places / sizeof *places; p++) {
            char *name = names[name_count++];
            for (int i = 0; i < length; i++)
                name[i] = (char)('A' + i * 7 % 26);
            if (places[p] >= 0 && places[p] < length)
                name[places[p]] = p & 1 ? '_' : '\xff';
        }
    }
    while (name_count < POOL - 100) {
        sprintf(names[name_count], "N%d", name_count);
        name_count++;
    }
}

/* Lists of names that differ in one place only, so many that some hundred pairs of them are alike in any 16 bits: of those that place
 * alone tells which is which. */
static void large_lists(void) {
    static const struct { size_t length, place; } families[] = {{6, 0},  {9, 0},  {16, 8}, {24, 8},  {32, 0},  {32, 8},
                                                                {32, 16}, {32, 24}, {40, 0}, {64, 26}, {64, 40}, {300, 5}};
    static char family[2 * LARGE][ROOM];
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
        size_t length = families[f].length, place = families[f].place;
        for (unsigned i = 0; i < 2 * LARGE; i++) {
            char digits[16];
            snprintf(digits, sizeof digits, "%06u", i * 29 % 1000000);
            for (size_t at = 0; at < length; at++)
                family[i][at] = (char)('A' + at * 7 % 26);
            family[i][length] = 0;
            memcpy(family[i] + place, digits, 6);
        }
        CHECK(clearenv() == 0);
        char number[16];
        for (unsigned i = 0; i < LARGE; i++) {
            snprintf(number, sizeof number, "%u", i);
            CHECK(setenv(family[i], number, 1) == 0);
        }
        CHECK(length_of_list() == LARGE);
        for (unsigned i = 0; i < 2 * LARGE; i++) {
            snprintf(number, sizeof number, "%u", i);
            if (!has(family[i], i < LARGE ? number : NULL))
                FAIL("%s has not its value, but %s", family[i], getenv(family[i]) ? getenv(family[i]) : "none");
        }
    }
}

int main(int argc, char **argv) {
    must_be_preloaded();
    CHECK(argc == 3 || argc == 4);
    seed = strtoull(argv[1], NULL, 10);
    unsigned long steps = strtoul(argv[2], NULL, 10);
    CHECK(seed != 0);
    make_names();
    look_at_all("the start");
    for (unsigned long i = 0; i < steps; i++) {
        const char *what = step();
        look(what);
        if (i % 64 == 0)
            look_at_all(what);
    }
    if (argc == 3)
        large_lists();
    printf("%lu steps, seed %s\n", steps, argv[1]);
    return 0;
}
