/* beside LIBRARY: what a read costs beside a writer of each kind, each on a processor of its own, and what the writer's call costs then. Which
 * lines move from processor to processor is a matter of what the writer stores to:
 *
 *   nothing              the writer spins without a call
 *   an equal value       setenv of the value that is there: it looks, and stores nothing
 *   another value, far   the generation is stored to; slot, shadow and tag are in other lines than those of the variable that is read
 *   another value, near  these are in the same lines, too
 *   add and remove       setenv and unsetenv of a variable that the list has not: the head moves, too, and the list to another array
 */
#include "common.h"
#include <sched.h>
#include <stdatomic.h>

enum { VARIABLES = 128, ROUNDS = 31, CALLS = 200000 };

static struct contestant ours;
static atomic_int stop;
static atomic_ulong calls;

static void stay_on(int processor)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    CHECK(sched_setaffinity(0, sizeof set, &set) == 0);
}

static void replace(const char *name, unsigned long i) { CHECK(ours.set(name, i % 2 ? "one" : "two", 1) == 0); }
static void nothing(unsigned long i) { (void)i; }
static void equal(unsigned long i)
{
    (void)i;
    CHECK(ours.set("NAME_100", "one", 1) == 0);
}
static void far_off(unsigned long i) { replace("NAME_100", i); }
static void near_by(unsigned long i) { replace("NAME_21", i); }
static void add_and_remove(unsigned long i) { CHECK(i % 2 ? ours.unset("NEW") == 0 : ours.set("NEW", "one", 1) == 0); }

static const struct writer {
    const char *name;
    void (*call)(unsigned long);
} writers[] = {{"nothing", nothing}, {"an equal value", equal}, {"another value, far", far_off},
               {"another value, near", near_by}, {"add and remove", add_and_remove}};

static void *write_on(void *writer)
{
    stay_on(1);
    for (unsigned long i = 0; !atomic_load_explicit(&stop, memory_order_relaxed); i++) {
        ((const struct writer *)writer)->call(i);
        atomic_store_explicit(&calls, i, memory_order_relaxed);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    ours = ours_from(argv[1]);
    CHECK(ours.clear() == 0);
    char name[NAME_ROOM];
    for (int i = 0; i < VARIABLES; i++) {
        snprintf(name, sizeof name, "NAME_%d", i);
        CHECK(ours.set(name, "one", 1) == 0);
    }
    stay_on(0);
    for (size_t k = 0; k < sizeof writers / sizeof *writers; k++) {
        pthread_t thread;
        double read[ROUNDS], written[ROUNDS];
        atomic_store(&stop, 0);
        CHECK(pthread_create(&thread, NULL, write_on, (void *)&writers[k]) == 0);
        while (atomic_load(&calls) < 1000 || atomic_load(&stop)) {
        }
        for (int round = 0; round < ROUNDS; round++) {
            unsigned long before = atomic_load(&calls);
            double start = now_ns();
            for (int i = 0; i < CALLS; i++) {
                const char *value = ours.get("NAME_20");
                if (!value || strcmp(value, "one") != 0)
                    FAIL("a wrong answer");
            }
            double took = now_ns() - start;
            read[round] = took / CALLS;
            written[round] = took / (double)(atomic_load(&calls) - before + 1);
        }
        atomic_store(&stop, 1);
        CHECK(pthread_join(thread, NULL) == 0);
        atomic_store(&calls, 0);
        printf("%-20s  read %6.1f ns (%.1f - %.1f)   the writer's call %6.1f ns\n", writers[k].name, quantile(read, ROUNDS, .5),
               quantile(read, ROUNDS, .25), quantile(read, ROUNDS, .75), quantile(written, ROUNDS, .5));
    }
    return 0;
}
