/* A program linked with libresolver.so. 1: the resolver's getenv found a variable that is there. */
#include "check.h"

int resolved(void);

int main(void) {
    must_be_preloaded();
    CHECK(resolved() == 1);
    return 0;
}
