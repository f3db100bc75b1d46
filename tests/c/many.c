/* Sizes nobody expects: ARGV[1] variables, up to 10,000, values of 1 MiB, a name of 1 MiB. */
#include "check.h"

enum { MOST = 10000, LENGTH = 1 << 20 };

static int variables;

static void name_of(char *name, int i) { sprintf(name, "MANY_%d", i); }

/* All variables have the value that WANTED gives for their number, and environ holds each of them once. */
static void check_all(int (*wanted)(int i, char *value)) {
    static char seen[MOST];
    char name[32], value[32];
    size_t expected = 0;
    memset(seen, 0, sizeof seen);
    for (int i = 0; i < variables; i++) {
        name_of(name, i);
        int present = wanted(i, value);
        expected += (size_t)present;
        CHECK(has(name, present ? value : NULL));
    }
    CHECK(count("MANY_") == expected);
    for (char **slot = environ; *slot; slot++) {
        if (strncmp(*slot, "MANY_", 5) != 0)
            continue;
        int i = atoi(*slot + 5);
        CHECK(i >= 0 && i < variables && !seen[i]++ && wanted(i, value));
    }
}

static int set_once(int i, char *value) { return sprintf(value, "%d", i) > 0; }
static int replaced(int i, char *value) { return sprintf(value, i % 3 == 0 ? "again %d" : "%d", i) > 0; }
static int removed(int i, char *value) { return replaced(i, value) && i % 7 != 0; }
static int nothing(int i, char *value) { return (void)i, (void)value, 0; }

int main(int argc, char **argv) {
    char name[32], value[32];
    must_be_preloaded();
    CHECK(argc == 2);
    variables = atoi(argv[1]);
    CHECK(variables > 0 && variables <= MOST);
    CHECK(setenv("BYSTANDER", "here", 1) == 0);
    for (int i = 0; i < variables; i++) {
        name_of(name, i);
        set_once(i, value);
        CHECK(setenv(name, value, 1) == 0 && has(name, value));
        CHECK(i % 64 || has("BYSTANDER", "here"));
    }
    check_all(set_once);
    for (int i = 0; i < variables; i += 3) {
        name_of(name, i);
        replaced(i, value);
        CHECK(setenv(name, value, 1) == 0);
    }
    for (int i = 0; i < variables; i += 7) {
        name_of(name, i);
        CHECK(unsetenv(name) == 0);
    }
    check_all(removed);
    CHECK(has("BYSTANDER", "here"));

    char *large = malloc(LENGTH + 1);
    CHECK(large);
    memset(large, 'v', LENGTH);
    large[LENGTH] = 0;
    for (char c = 'a'; c <= 'h'; c++) {
        large[LENGTH - 1] = c;
        CHECK(setenv("LARGE", large, 1) == 0 && has("LARGE", large));
    }
    CHECK(setenv(large, "1", 1) == 0 && has(large, "1"));
    large[LENGTH - 1] = 'i';
    CHECK(has(large, NULL) && setenv(large, "2", 1) == 0 && has(large, "2"));
    large[LENGTH - 1] = 'h';
    CHECK(has("LARGE", large) && has(large, "1") && unsetenv(large) == 0 && has(large, NULL));
    large[LENGTH - 1] = 'i';
    CHECK(has(large, "2"));
    check_all(removed);

    CHECK(clearenv() == 0 && environ && !*environ);
    check_all(nothing);
    printf("%d variables, values of %d bytes\n", variables, LENGTH);
    return 0;
}
