/* A program linked with libresolver.so. Prints what the resolver's calls found: the same with the library and without. */
#include "check.h"

int resolved(void);

int main(void) {
    printf("%d\n", resolved());
    return 0;
}
