/* A dl_iterate_phdr before libc's that reads the environment, as fakechroot's does. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>

int dl_iterate_phdr(int (*each)(struct dl_phdr_info *, size_t, void *), void *data) {
    static int (*next)(int (*)(struct dl_phdr_info *, size_t, void *), void *);
    if (!next)
        next = (int (*)(int (*)(struct dl_phdr_info *, size_t, void *), void *))dlsym(RTLD_NEXT, "dl_iterate_phdr");
    if (!getenv("HOME"))
        abort();
    return next(each, data);
}
