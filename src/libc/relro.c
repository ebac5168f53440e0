/* Tables of pointers are for reading once the program has been relocated: glibc's start sees to
 * that in static programs, musl's does not. */
#include <elf.h>
#include <link.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>

extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden"))); /* the linker's */

__attribute__((constructor)) static void protect_relocated(void)
{
	const char *base = (const char *)&__ehdr_start;
	const ElfW(Phdr) *p = (const void *)(base + __ehdr_start.e_phoff);
	unsigned long page = getauxval(AT_PAGESZ);

	for (int i = 0; i < __ehdr_start.e_phnum; i++) {
		if (p[i].p_type != PT_GNU_RELRO)
			continue;
		unsigned long from = ((unsigned long)base + p[i].p_vaddr) & ~(page - 1);
		unsigned long to =
			((unsigned long)base + p[i].p_vaddr + p[i].p_memsz) & ~(page - 1);

		if (mprotect((void *)from, to - from, PROT_READ) < 0)
			abort();
	}
}
