#include "shim/memory.h"

#include "base/mem.h"
#include "loop/loop.h"
#include "os/rawcall.h"

#include <link.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <poll.h>
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

/* Drops the code and waits for the next event before any of it is needed again: what stays mapped
 * while the shim is idle is what the kernel maps around these few instructions.  So: no call, no
 * constant data, no stack protector. */
__attribute__((noinline, no_stack_protector)) static void
drop_and_wait(const struct range *code, size_t n, struct pollfd *fd, const struct timespec *limit)
{
	for (size_t i = 0; i < n; i++)
		(void)raw_syscall5(SYS_madvise, (long)code[i].at, (long)code[i].n, MADV_DONTNEED, 0,
				   0); /* failure costs only memory */
	/* Any error, a signal too, only ends the wait: the loop asks again. */
	(void)raw_syscall5(SYS_ppoll, (long)fd, 1, (long)limit, 0, 0);
}

static void on_quiet(UNUSED struct loop_timer *t, void *arg)
{
	const struct memory *m = arg;
	struct pollfd fd = { .fd = loop_fd(m->loop), .events = POLLIN };
	uint64_t ns = loop_next_timer(m->loop);
	struct timespec limit = { .tv_sec = (time_t)(ns / 1000000000u),
				  .tv_nsec = (long)(ns % 1000000000u) };

#ifdef __GLIBC__
	malloc_trim(0);
#endif
	drop_and_wait(m->code, m->n_code, &fd, ns == UINT64_MAX ? NULL : &limit);
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
