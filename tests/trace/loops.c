/* ns of a call of getenv or setenv among 40 variables, the median of 21 rounds. ARGV[1]: getenv, setenv, setenv-beside (a thread). */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void *idle(void *unused) {
    pause();
    return unused;
}

static int less(const void *a, const void *b) {
    return *(const double *)a < *(const double *)b ? -1 : 1;
}

int main(int argc, char **argv) {
    if (argc != 2)
        return 98;
    int read = strcmp(argv[1], "getenv") == 0;
    char name[16];
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "VAR_%d", i);
        setenv(name, "value", 1);
    }
    pthread_t thread;
    if (strcmp(argv[1], "setenv-beside") == 0)
        pthread_create(&thread, NULL, idle, NULL);
    int calls = read ? 100000 : 500;
    double rounds[21];
    for (int round = 0; round < 21; round++) {
        struct timespec begin, end;
        clock_gettime(CLOCK_MONOTONIC, &begin);
        for (int i = 0; i < calls; i++) {
            if (read)
                getenv("VAR_20");
            else
                setenv("VAR_20", i % 2 ? "odd" : "even", 1);
        }
        clock_gettime(CLOCK_MONOTONIC, &end);
        rounds[round] = ((end.tv_sec - begin.tv_sec) * 1e9 + (end.tv_nsec - begin.tv_nsec)) / calls;
    }
    qsort(rounds, 21, sizeof *rounds, less);
    printf("%.1f\n", rounds[10]);
    return 0;
}
