/* Times the start and end of a program with one library preloaded, and with another one, in turns.
 *
 *   startup ROUNDS LIB EMPTY PROGRAM
 *
 * LIB is the preload library, EMPTY one with nothing in it. Prints rows for `run`: time on the wall, processor time, page faults. */
#include "common.h"
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

static double started(const char *program, const char *library, double *processor, double *faults)
{
    char preload[4096];
    CHECK(snprintf(preload, sizeof preload, "LD_PRELOAD=%s", library) < (int)sizeof preload);
    char *arguments[] = {(char *)program, NULL}, *list[] = {"LANG=C", "HOME=/", preload, NULL};
    pid_t child;
    int status;
    struct rusage usage;
    double begin = now_ns();
    CHECK(posix_spawn(&child, program, NULL, NULL, arguments, list) == 0);
    CHECK(wait4(child, &status, 0, &usage) == child);
    double took = now_ns() - begin;
    if (status != 0)
        FAIL("%s under %s ends with status %x", program, library, (unsigned)status);
    *processor = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e9 +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e3;
    *faults = (double)usage.ru_minflt;
    return took;
}

int main(int argc, char **argv)
{
    CHECK(argc == 5);
    unsigned rounds = (unsigned)atoi(argv[1]);
    const char *libraries[2] = {argv[2], argv[3]}, *program = argv[4];
    CHECK(rounds >= 1 && rounds <= 10000);
    double wall[2][rounds], processor[2][rounds], faults[2][rounds], ignored;
    for (unsigned i = 0; i < 20; i++) /* the files come into memory */
        started(program, libraries[i % 2], &ignored, &ignored);
    for (unsigned round = 0; round < rounds; round++)
        for (unsigned turn = 0; turn < 2; turn++) {
            unsigned who = (turn + round) % 2;
            wall[who][round] = started(program, libraries[who], &processor[who][round], &faults[who][round]);
        }
    const char *name = strrchr(program, '/') ? strrchr(program, '/') + 1 : program;
    char title[128];
    snprintf(title, sizeof title, "%s: wall", name);
    row(title, "ours", wall[0], "an empty library", wall[1], rounds);
    snprintf(title, sizeof title, "%s: processor", name);
    row(title, "ours", processor[0], "an empty library", processor[1], rounds);
    snprintf(title, sizeof title, "%s: page faults", name);
    row(title, "ours", faults[0], "an empty library", faults[1], rounds);
    return 0;
}
