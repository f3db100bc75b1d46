/* What a program stores into the list by hand is the truth at once: entries appended behind the last one, at every size, in the kernel's
 * list (over the first words behind it) and in one of the library's; lists cut by a null, of which nothing comes back. */
#include "scenes.h"

/* Finds what a scan finds. */
static void getenv_agrees(const char *name) {
    const char *wanted = scan(environ, name), *found = getenv(name);
    if (wanted != found)
        FAIL("%s: a scan finds %s, getenv %s", name, wanted ? wanted : "nothing", found ? found : "nothing");
}

static void all_agree(void) {
    char name[64];
    for (char **slot = environ; *slot; slot++)
        if (name_of(*slot, name, sizeof name))
            getenv_agrees(name);
    for (int i = 0; i < 60; i++) {
        snprintf(name, sizeof name, "ABSENT%d", i);
        CHECK(has(name, NULL));
    }
}

/* As many reads as it takes for the library to learn the list. */
static void read_often(void) {
    for (int i = 0; i < 9000; i++)
        CHECK(has("ABSENT", NULL));
}

enum { SIZES = 70, WAYS = 12 };

/* In a process whose kernel's list has a size that the caller chose. */
static void append_to_the_kernels(int way) {
    size_t n = length_of(environ);
    CHECK(environ == kernels_list);
    if (way & 1)
        read_often();
    environ[n] = "NEW=1";
    environ[n + 1] = NULL;
    CHECK(has("NEW", "1"));
    all_agree();
    switch (way / 2) {
    case 0: /* one more, */
        environ[n + 1] = "NEWER=2";
        environ[n + 2] = NULL;
        CHECK(has("NEWER", "2") && has("NEW", "1"));
        break;
    case 1: /* a change in place, */
        CHECK(setenv("NEW", "2", 1) == 0 && has("NEW", "2") && length_of(environ) == n + 1);
        break;
    case 2: /* an addition, */
        CHECK(setenv("ADDED", "1", 1) == 0 && has("NEW", "1") && length_of(environ) == n + 2);
        CHECK(unsetenv("NEW") == 0 && length_of(environ) == n + 1);
        break;
    case 3: /* its removal, */
        CHECK(unsetenv("NEW") == 0 && has("NEW", NULL) && length_of(environ) == n);
        break;
    case 4: /* a removal before it, */
        if (n > 1)
            CHECK(unsetenv("V1") == 0 && has("NEW", "1") && length_of(environ) == n);
        break;
    case 5: { /* a child's change. */
        pid_t child = fork();
        if (child == 0) {
            CHECK(setenv("CHILD", "1", 1) == 0 && has("NEW", "1") && unsetenv("NEW") == 0 && has("NEW", NULL));
            list_is_sound();
            _exit(0);
        }
        must_succeed(child);
        CHECK(has("NEW", "1"));
        break;
    }
    }
    all_agree();
    list_is_sound();
    if (way & 1)
        read_often();
    all_agree();
}

static void start_with_size(int n, int way) {
    char *list[SIZES + 1], size[16], number[16];
    list[0] = (char *)library_entry();
    for (int i = 1; i < n; i++)
        CHECK(asprintf(&list[i], "V%d=x", i) > 0);
    list[n] = NULL;
    snprintf(size, sizeof size, "%d", n);
    snprintf(number, sizeof number, "%d", way);
    char *command[] = {(char *)self, (char *)mode, "sized", size, number, NULL};
    execve(self, command, list);
    FAIL("no exec");
}

static void appended_to_the_kernels_at_every_size(void) {
    int bad = 0;
    for (int n = 1; n < SIZES; n++)
        for (int way = 0; way < WAYS; way++) {
            pid_t child = fork();
            if (child == 0)
                start_with_size(n, way);
            int status;
            CHECK(child > 0 && waitpid(child, &status, 0) == child);
            if (status && bad++ < 5)
                fprintf(stderr, "%d variables, way %d: status %#x\n", n, way, status);
        }
    if (bad)
        FAIL("%d of %d processes failed", bad, (SIZES - 1) * WAYS);
}

/* In an array of the library's, in slots that removals left free: libc's has as many. */
static void appended_to_one_of_the_librarys_at_every_size(void) {
    for (int n = 1; n < SIZES; n++)
        for (int hints = 0; hints < 2; hints++) {
            CHECK(clearenv() == 0);
            set_numbered("V", 0, n + 3);
            unset_numbered("V", n, n + 3);
            if (hints)
                read_often();
            environ[n] = "NEW=1";
            environ[n + 1] = "NEWER=2";
            environ[n + 2] = NULL;
            CHECK(has("NEW", "1") && has("NEWER", "2") && length_of(environ) == (size_t)n + 2);
            all_agree();
            CHECK(setenv("ADDED", "1", 1) == 0 && length_of(environ) == (size_t)n + 3);
            CHECK(unsetenv("NEW") == 0 && has("NEW", NULL) && has("NEWER", "2"));
            all_agree();
            list_is_sound();
        }
}

static void appended_to_the_programs_own_at_every_size(void) {
    for (int n = 1; n < SIZES; n++) {
        static char *own[SIZES + 4];
        static char strings[SIZES][16];
        for (int i = 0; i < n; i++) {
            snprintf(strings[i], sizeof strings[i], "V%d=x", i);
            own[i] = strings[i];
        }
        own[n] = NULL;
        environ = own;
        read_often();
        environ[n] = "NEW=1";
        environ[n + 1] = NULL;
        CHECK(has("NEW", "1"));
        all_agree();
        CHECK(setenv("NEW", "2", 1) == 0 && unsetenv("V0") == 0 && has("NEW", "2"));
        environ[length_of(environ)] = NULL;
        CHECK(setenv("ADDED", "1", 1) == 0 && has("NEW", "2") && length_of(environ) == (size_t)n + 1);
        list_is_sound();
    }
}

/* Two temporary ones behind the last, cut off again; then changes. */
static void appended_and_cut_off_again(void) {
    for (int change = 0; change < 6; change++) {
        CHECK(clearenv() == 0);
        set_numbered("V", 0, 5);
        set_numbered("Q", 0, 3);
        unset_numbered("Q", 0, 3);
        size_t n = length_of(environ);
        environ[n] = "TEMPORARY=1";
        environ[n + 1] = "SECRET=1";
        environ[n + 2] = NULL;
        CHECK(has("SECRET", "1"));
        environ[n] = NULL;
        CHECK(has("TEMPORARY", NULL) && has("SECRET", NULL));
        switch (change) {
        case 0: CHECK(setenv("NEW", "1", 1) == 0 && has("NEW", "1")); break;
        case 1: CHECK(putenv("NEW=1") == 0 && has("NEW", "1")); break;
        case 2: CHECK(setenv("V1", "2", 1) == 0); break;
        case 3: CHECK(unsetenv("V1") == 0); break;
        case 4: CHECK(unsetenv("V4") == 0); break;
        case 5: CHECK(clearenv() == 0); break;
        }
        CHECK(has("TEMPORARY", NULL) && has("SECRET", NULL));
        set_numbered("M", 0, 300);
        CHECK(has("TEMPORARY", NULL) && has("SECRET", NULL) && count("SECRET=") == 0);
        list_is_sound();
    }
}

/* At each place, by each change, nothing that was cut comes back: not at once, not by what follows. */
enum { LENGTH = 12, CHANGES = 9 };

static void change_after_a_cut(int change, int at) {
    char name[16], value[16];
    snprintf(value, sizeof value, "again%d", at);
    switch (change) {
    case 0: CHECK(setenv("NEW", value, 1) == 0); break;
    case 1: CHECK(putenv("NEW=put") == 0); break;
    case 2: CHECK(unsetenv("V0") == 0); break;
    case 3: CHECK(unsetenv("ABSENT") == 0); break;
    case 4: /* one that was cut off is new again */
        snprintf(name, sizeof name, "V%d", LENGTH - 1);
        CHECK(setenv(name, value, 1) == 0 && unsetenv(name) == 0);
        break;
    case 5: /* one that was not: in place */
        if (at > 0)
            CHECK(setenv("V0", "2", 1) == 0);
        break;
    case 6: CHECK(clearenv() == 0); break;
    case 7: set_numbered("M", 0, 100); break;
    case 8: { /* a child's */
        pid_t child = fork();
        if (child == 0) {
            CHECK(setenv("NEW", "1", 1) == 0);
            for (int i = at; i < LENGTH; i++) {
                snprintf(name, sizeof name, "V%d", i);
                CHECK(has(name, NULL));
            }
            list_is_sound();
            _exit(0);
        }
        must_succeed(child);
        break;
    }
    }
}

static void nothing_comes_back(int at) {
    char name[16];
    for (int i = at; i < LENGTH; i++) {
        snprintf(name, sizeof name, "V%d", i);
        CHECK(has(name, NULL) && entries_of(environ, name) == 0);
    }
}

static void cut_everywhere(int which) {
    char name[16];
    for (int at = 0; at < LENGTH; at++)
        for (int first = 0; first < CHANGES; first++)
            for (int second = 0; second < CHANGES; second++) {
                static char *own[LENGTH + 1];
                static char strings[LENGTH][16];
                CHECK(clearenv() == 0);
                if (which) {
                    for (int i = 0; i < LENGTH; i++) {
                        snprintf(strings[i], sizeof strings[i], "V%d=1", i);
                        own[i] = strings[i];
                    }
                    environ = own;
                } else {
                    set_numbered("V", 0, LENGTH);
                }
                environ[at] = NULL;
                nothing_comes_back(at);
                change_after_a_cut(first, at);
                nothing_comes_back(at);
                change_after_a_cut(second, at);
                nothing_comes_back(at);
                list_is_sound();
                if (first != 6 && second != 6)
                    for (int i = 1; i < at; i++) {
                        snprintf(name, sizeof name, "V%d", i);
                        CHECK(has(name, "1"));
                    }
            }
}

static void a_list_of_the_librarys_is_cut(void) { cut_everywhere(0); }
static void a_list_of_the_programs_is_cut(void) { cut_everywhere(1); }

static void the_librarys_is_cut_with_threads(void) {
    have_a_second_thread();
    for (int at = 0; at < LENGTH; at++)
        for (int first = 0; first < CHANGES - 1; first++) {
            CHECK(clearenv() == 0);
            set_numbered("V", 0, LENGTH);
            /* In what order they are now is free. */
            char gone[LENGTH][16];
            int n = 0;
            for (int i = at; i < LENGTH; i++)
                CHECK(name_of(environ[i], gone[n++], sizeof gone[0]));
            environ[at] = NULL;
            CHECK(setenv("NEW", "1", 1) == 0);
            change_after_a_cut(first == 4 ? 0 : first, at);
            for (int i = 0; i < n; i++)
                CHECK((first == 5 && strcmp(gone[i], "V0") == 0) || has(gone[i], NULL));
            list_is_sound();
        }
}

/* In a process that has the kernel's. */
static void the_kernels_is_cut(void) {
    char name[16];
    for (int at = 0; at < LENGTH; at++)
        for (int first = 0; first < CHANGES; first++) {
            pid_t child = fork();
            if (child == 0) {
                if (first & 1)
                    read_often();
                environ[at] = NULL;
                nothing_comes_back(at);
                change_after_a_cut(first, at);
                nothing_comes_back(at);
                CHECK(setenv("NEWER", "1", 1) == 0);
                nothing_comes_back(at);
                set_numbered("M", 0, 100);
                nothing_comes_back(at);
                if (first != 6)
                    for (int i = 1; i < at; i++) {
                        snprintf(name, sizeof name, "V%d", i);
                        CHECK(has(name, "1"));
                    }
                list_is_sound();
                _exit(0);
            }
            must_succeed(child);
        }
}

/* A null at the head is an empty list. */
static void emptied_by_a_null(void) {
    for (int round = 0; round < 50; round++) {
        *environ = NULL;
        LIST("");
        CHECK(setenv("A", "1", 1) == 0 && setenv("B", "2", 1) == 0);
        LIST("A=1 B=2");
        *environ = NULL;
        CHECK(unsetenv("B") == 0 && has("A", NULL) && has("B", NULL));
        CHECK(putenv("C=1") == 0);
        LIST("C=1");
        set_numbered("N", 0, round);
        CHECK(length_of(environ) == (size_t)round + 1);
    }
}

static const struct scene scenes[] = {
    {"appended_to_the_kernels_at_every_size", appended_to_the_kernels_at_every_size, "A=1", EVERYWHERE},
    {"appended_to_one_of_the_librarys_at_every_size", appended_to_one_of_the_librarys_at_every_size, "A=1", EVERYWHERE},
    {"appended_to_the_programs_own_at_every_size", appended_to_the_programs_own_at_every_size, "A=1", EVERYWHERE},
    {"appended_and_cut_off_again", appended_and_cut_off_again, "A=1", EVERYWHERE},
    {"a_list_of_the_librarys_is_cut", a_list_of_the_librarys_is_cut, "A=1", EVERYWHERE},
    {"a_list_of_the_programs_is_cut", a_list_of_the_programs_is_cut, "A=1", EVERYWHERE},
    {"the_librarys_is_cut_with_threads", the_librarys_is_cut_with_threads, "A=1", EVERYWHERE},
    {"the_kernels_is_cut", the_kernels_is_cut, "V0=1 V1=1 V2=1 V3=1 V4=1 V5=1 V6=1 V7=1 V8=1 V9=1 V10=1 V11=1", EVERYWHERE},
    {"emptied_by_a_null", emptied_by_a_null, "A=1 B=2", EVERYWHERE},
};

int main(int argc, char **argv, char **envp) {
    if (argc == 5 && strcmp(argv[2], "sized") == 0) {
        self = argv[0];
        mode = argv[1];
        kernels_list = envp;
        if (with_library())
            must_be_preloaded();
        append_to_the_kernels(atoi(argv[4]));
        return 0;
    }
    return RUN_SCENES(scenes);
}
