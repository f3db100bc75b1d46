// Loads a plugin and calls its function: host READS [deepbind] PLUGIN
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    if (argc < 3) return fprintf(stderr, "host READS [deepbind] PLUGIN\n"), 2;
    int deep = strcmp(argv[2], "deepbind") == 0 ? RTLD_DEEPBIND : 0;
    void *plugin = dlopen(argv[argc - 1], RTLD_NOW | deep);
    if (plugin == NULL) return fprintf(stderr, "%s\n", dlerror()), 2;
    void (*run)(unsigned long long) = (void (*)(unsigned long long)) dlsym(plugin, "run");
    if (run == NULL) return fprintf(stderr, "%s\n", dlerror()), 2;
    run(strtoull(argv[1], NULL, 10));
    return 0;
}
