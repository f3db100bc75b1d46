/* Scenes: each runs in a process of its own, started with exactly the variables it names, so that its first change is the process's
 * first. The program is run as PROGRAM MODE [ARGUMENTS]; MODE is "library" or "plain". Where a scene also runs plain, libc shows that
 * what it asks for is what programs are used to. */
#include "check.h"
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum {
    CPU_SECONDS = 30, /* for one scene: whoever needs more hangs, however slow the machine is */
    LONGEST_LIST = 1 << 20,
};

enum where { EVERYWHERE, LIBRARY_ONLY };

struct scene {
    const char *name;
    void (*run)(void);
    const char *variables; /* words; "@" is the variable that brings the library, or one in its place; at the end unless named */
    enum where where;
};

static const char *mode, *self;
static char **scene_arguments; /* after the mode */
static char **kernels_list;    /* as `main` got it */

static inline int with_library(void) { return strcmp(mode, "library") == 0; }

/* Whoever needs more processor time than that hangs. A scene may give itself more. */
static inline void limit_cpu(rlim_t seconds) {
    struct rlimit limit = {seconds, RLIM_INFINITY};
    CHECK(setrlimit(RLIMIT_CPU, &limit) == 0);
}

/* The entry that "@" stands for. */
static inline int brings_library(const char *entry) {
    return strncmp(entry, "LD_PRELOAD=", 11) == 0 || strncmp(entry, "NO_PRELOAD=", 11) == 0;
}

static inline void print_list(FILE *to, char **list) {
    for (char **slot = list; slot && *slot; slot++)
        fprintf(to, " %s", brings_library(*slot) ? "@" : *slot);
    fputc('\n', to);
}

/* True if LIST is WANTED, words in order. Entries have no blanks. */
static inline int list_is(char **list, const char *wanted) {
    for (; list && *list; list++) {
        wanted += strspn(wanted, " ");
        size_t length = strcspn(wanted, " ");
        if (length == 1 && *wanted == '@' ? !brings_library(*list)
                                          : strlen(*list) != length || memcmp(*list, wanted, length) != 0)
            return 0;
        wanted += length;
    }
    return wanted[strspn(wanted, " ")] == 0;
}

#define LIST(wanted) \
    do { \
        if (!list_is(environ, wanted)) { \
            fprintf(stderr, "%s:%d: wanted %s, found", __FILE__, __LINE__, wanted); \
            print_list(stderr, environ); \
            _exit(1); \
        } \
    } while (0)

/* Copies the name of ENTRY; 0 if it has none. */
static inline int name_of(const char *entry, char *name, size_t size) {
    const char *end = strchr(entry, '=');
    if (!end)
        return 0;
    CHECK((size_t)(end - entry) < size);
    memcpy(name, entry, (size_t)(end - entry));
    name[end - entry] = 0;
    return 1;
}

/* What an ascending scan of LIST says of NAME. */
static inline char *scan(char **list, const char *name) {
    size_t length = strlen(name);
    for (; list && *list; list++)
        if (strncmp(*list, name, length) == 0 && (*list)[length] == '=')
            return *list + length + 1;
    return NULL;
}

static inline size_t entries_of(char **list, const char *name) {
    size_t length = strlen(name), n = 0;
    for (; list && *list; list++)
        n += strncmp(*list, name, length) == 0 && (*list)[length] == '=';
    return n;
}

static inline size_t length_of(char **list) {
    size_t n = 0;
    while (list && list[n])
        CHECK(++n < LONGEST_LIST);
    return n;
}

/* Every name once, and getenv finds what a scan finds: the state that a single-threaded program is in at every moment. */
static inline void list_is_sound(void) {
    char name[256];
    for (char **slot = environ; slot && *slot; slot++)
        if (name_of(*slot, name, sizeof name)) {
            if (entries_of(environ, name) != 1 || getenv(name) != *slot + strlen(name) + 1) {
                fprintf(stderr, "%s, %zu times:", name, entries_of(environ, name));
                print_list(stderr, environ);
                FAIL("the list is not sound");
            }
        }
}

static inline void set_numbered(const char *prefix, int from, int to) {
    char name[32];
    for (int i = from; i < to; i++) {
        snprintf(name, sizeof name, "%s%d", prefix, i);
        CHECK(setenv(name, "1", 1) == 0);
    }
}

static inline void unset_numbered(const char *prefix, int from, int to) {
    char name[32];
    for (int i = from; i < to; i++) {
        snprintf(name, sizeof name, "%s%d", prefix, i);
        CHECK(unsetenv(name) == 0);
    }
}

static inline void *asks(void *unused) {
    CHECK(has("ABSENT", NULL)); /* a libc that does not count its threads is told by this call */
    return unused;
}

/* From here on the process has had two threads. */
static inline void have_a_second_thread(void) {
    pthread_t thread;
    CHECK(has("ABSENT", NULL));
    CHECK(pthread_create(&thread, NULL, asks, NULL) == 0 && pthread_join(thread, NULL) == 0);
}

/* Waits for CHILD; a status other than 0 fails. */
static inline void must_succeed(pid_t child) {
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    if (status)
        FAIL("a child failed: status %#x", status);
}

/* The variable that brings the library, for a list made by hand; without the library one in its place. */
static inline const char *library_entry(void) {
    static char entry[4200];
    const char *library = scan(kernels_list, "LD_PRELOAD");
    snprintf(entry, sizeof entry, "%s=%s", library ? "LD_PRELOAD" : "NO_PRELOAD", library ? library : "");
    return entry;
}

static inline void start_scene(const struct scene *scene, char **arguments) {
    char *list[64], words[2048];
    int n = 0, named = 0;
    CHECK(strlen(scene->variables) < sizeof words);
    strcpy(words, scene->variables);
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "), n++) {
        CHECK(n < 60);
        int at = strcmp(word, "@") == 0;
        named |= at;
        list[n] = at ? (char *)library_entry() : word;
    }
    if (!named)
        list[n++] = (char *)library_entry();
    list[n] = NULL;
    char *command[16] = {(char *)self, (char *)mode, "scene", (char *)scene->name};
    for (int i = 0; arguments[i]; i++) {
        CHECK(i < 10);
        command[4 + i] = arguments[i];
    }
    execve(self, command, list);
    FAIL("no exec");
}

/* Each scene in turn; those that fail are named at the end. */
static inline int run_scenes(int argc, char **argv, char **envp, const struct scene *scenes, size_t count) {
    CHECK(argc > 1);
    self = argv[0];
    mode = argv[1];
    kernels_list = envp;
    CHECK(with_library() || strcmp(mode, "plain") == 0);
    if (with_library())
        must_be_preloaded();
    if (argc > 3 && strcmp(argv[2], "scene") == 0) {
        scene_arguments = argv + 4;
        for (size_t i = 0; i < count; i++)
            if (strcmp(argv[3], scenes[i].name) == 0) {
                scenes[i].run();
                return 0;
            }
        FAIL("no scene %s", argv[3]);
    }
    int failed = 0, ran = 0;
    for (size_t i = 0; i < count; i++) {
        if (scenes[i].where == LIBRARY_ONLY && !with_library())
            continue;
        ran++;
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            limit_cpu(CPU_SECONDS);
            start_scene(&scenes[i], argv + 2);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child);
        if (status) {
            failed++;
            fprintf(stderr, "failed: %s (%s %d)\n", scenes[i].name, WIFSIGNALED(status) ? "signal" : "exit",
                    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        }
    }
    printf("%d scenes, %d failed\n", ran, failed);
    return failed != 0;
}

#define RUN_SCENES(scenes) run_scenes(argc, argv, envp, scenes, sizeof(scenes) / sizeof *(scenes))
