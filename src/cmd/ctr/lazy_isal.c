/* libisal, loaded when the first gzip stream is read: few commands read one, and every command's
 * start would pay for the loading.  The two functions of it that our inflate.c calls. */
#include <dlfcn.h>
#include <isa-l/igzip_lib.h>
#include <stdio.h>
#include <stdlib.h>

#define LIBRARY "libisal.so.2"

/* Without it the program cannot go on, as if it had been linked: the loader's own exit code. */
static void *need(const char *name)
{
	static void *library;
	void *symbol = NULL;

	if (!library)
		library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (library)
		symbol = dlsym(library, name);
	if (!symbol) {
		fprintf(stderr, "ctr: error while loading shared libraries: %s\n", dlerror());
		exit(127);
	}
	return symbol;
}

void isal_inflate_init(struct inflate_state *state)
{
	static void (*real)(struct inflate_state *);

	if (!real)
		*(void **)&real = need("isal_inflate_init");
	real(state);
}

int isal_inflate(struct inflate_state *state)
{
	static int (*real)(struct inflate_state *);

	if (!real)
		*(void **)&real = need("isal_inflate");
	return real(state);
}
