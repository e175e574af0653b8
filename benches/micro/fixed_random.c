/* Hash maps of Rust's standard library ask this for their seed. Preloaded, so that a count repeats to the instruction. */
#include <string.h>
#include <sys/types.h>

ssize_t getrandom(void *buffer, size_t size, unsigned flags) {
    (void)flags;
    memset(buffer, 7, size);
    return (ssize_t)size;
}
