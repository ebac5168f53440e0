#include "shim/memory.h"

#include "base/mem.h"
#include "loop/loop.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>

static const uint64_t quiet = 1000000000u;

struct range {
	void *at;
	size_t n;
};

struct memory {
	struct loop *loop;
	struct loop_timer *timer;
	struct range code[4];
	size_t n_code;
};

/* Clean pages of the program's file: the kernel maps sixteen around each fault, and never takes
 * them back unasked.  Segments that were ever written to (relocations too) stay.  Found once: the
 * headers that say so are such pages themselves. */
static int find_code(struct dl_phdr_info *info, UNUSED size_t size, void *arg)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	struct memory *m = arg;

	for (int i = 0; i < info->dlpi_phnum && m->n_code < ARRAY_LEN(m->code); i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];

		if (ph->p_type != PT_LOAD || ph->p_flags & PF_W)
			continue;
		uintptr_t from = (info->dlpi_addr + ph->p_vaddr) & ~(page - 1);
		uintptr_t to = info->dlpi_addr + ph->p_vaddr + ph->p_memsz;

		m->code[m->n_code++] = (struct range){ (void *)from, to - from };
	}
	return 1; /* the program itself comes first; the vdso is nobody's to drop */
}

static void on_quiet(UNUSED struct loop_timer *t, void *arg)
{
	const struct memory *m = arg;

	malloc_trim(0);
	for (size_t i = 0; i < m->n_code; i++)
		(void)madvise(m->code[i].at, m->code[i].n, MADV_DONTNEED); /* costs only memory */
}

struct memory *memory_new(struct loop *l)
{
	struct memory *m = NEW(struct memory);

	m->loop = l;
	dl_iterate_phdr(find_code, m);
	m->timer = loop_timer_add(l, quiet, on_quiet, m);
	return m;
}

void memory_used(struct memory *m)
{
	loop_timer_set(m->timer, quiet);
}

void memory_free(struct memory *m)
{
	loop_timer_remove(m->timer);
	free(m);
}
