// To be preloaded: a malloc that reads and sets the environment each time it is called, as debugging allocators read their options.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static _Thread_local int inside;
static unsigned calls;

static void ask(void)
{
	if (inside) // what libc allocates for its own setenv, when we are without the library
		return;
	inside = 1;
	unsigned n = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
	if (getenv("ASKING_MALLOC_OPTIONS"))
		abort();
	if (n % 16 == 0 && (setenv("ASKING_MALLOC", n & 16 ? "odd" : "even", 1) || !getenv("ASKING_MALLOC")))
		abort();
	inside = 0;
}

// A plain bump allocator: sizes stand before the blocks; nothing is given back.
void *malloc(size_t size)
{
	static char *next, *end;
	static int lock;
	ask();
	size = (size + 15) & ~(size_t)15;
	while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
		;
	if ((size_t)(end - next) < size + 16) {
		size_t bytes = size + 16 > 1 << 24 ? size + 16 : 1 << 24;
		next = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (next == MAP_FAILED)
			abort();
		end = next + bytes;
	}
	char *block = next + 16;
	*(size_t *)next = size;
	next += size + 16;
	__atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
	return block;
}

void free(void *block)
{
	(void)block;
}

void *calloc(size_t count, size_t size)
{
	size_t bytes;
	return __builtin_mul_overflow(count, size, &bytes) ? NULL : malloc(bytes); // fresh memory is zero
}

void *realloc(void *block, size_t size)
{
	void *fresh = malloc(size);
	if (block) {
		size_t old = ((size_t *)block)[-2];
		memcpy(fresh, block, old < size ? old : size);
	}
	return fresh;
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
	uintptr_t at = (uintptr_t)malloc(size + alignment + 16);
	uintptr_t aligned = (at + 16 + alignment - 1) & ~(alignment - 1);
	((size_t *)aligned)[-2] = size;
	*block = (void *)aligned;
	return 0;
}

void *aligned_alloc(size_t alignment, size_t size)
{
	void *block;
	return posix_memalign(&block, alignment < 16 ? 16 : alignment, size) ? NULL : block;
}

void *memalign(size_t alignment, size_t size)
{
	return aligned_alloc(alignment, size);
}

size_t malloc_usable_size(void *block)
{
	return block ? ((size_t *)block)[-2] : 0;
}
