/* Where a static program of ours begins: before libc.
 *
 * A program that makes containers must run from a mount that nobody can write
 * (runtime_protect_self). main() can only execute itself again from there, after a whole start of
 * libc.  Here nothing has been written yet, so that each mapping of the program's file can be
 * replaced by the same part of the same file on a read-only mount, and /proc/self/exe with it; the
 * kernel refuses that while anything of the old one is mapped.  Else the second execve is done
 * here, before libc's start.  What fails here is left to main(), which knows other ways, looks at
 * what it is, and says what is wrong.
 *
 * Nothing is relocated yet and there is no thread pointer: no pointer tables, no libc, no stack
 * protector (the flags are in meson.build). */
#include "runtime/entry.h"

#include "base/macros.h"
#include "os/rawcall.h"

#include <elf.h>
#include <fcntl.h>
#include <linux/auxvec.h>
#include <linux/mount.h>
#include <linux/prctl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#define SELF "/proc/self/exe"
#define PAGE 4096ul

#ifdef __LP64__
typedef Elf64_Ehdr elf_head;
typedef Elf64_Phdr elf_part;
#endif
/* the linker's */
extern const elf_head __ehdr_start __attribute__((visibility("hidden")));
extern const char etext __attribute__((visibility("hidden")));
extern const char edata __attribute__((visibility("hidden")));

void entry_protect(long *stack); /* called by the assembly below */

int entry_mount = -1;
static struct prctl_mm_map memory; /* as it was at the start */

static bool starts(const char *text, const char *start)
{
	while (*start)
		if (*text++ != *start++)
			return false;
	return true;
}

static bool is_word(const char *text, const char *word)
{
	while (*word && *text == *word)
		text++, word++;
	return *text == *word;
}

static bool has_word(char **argv, const char *word)
{
	for (char **a = argv; *a; a++)
		if (is_word(*a, word))
			return true;
	return false;
}

static bool is_shim(char **argv)
{
	for (char **a = argv; *a; a++)
		if (starts(*a, "-namespace") || starts(*a, "--namespace"))
			return true;
	return false;
}

/* Does argv[0] say what /proc/self/exe does?  That is lost when the program is another's. */
static bool knows_itself(const char *name)
{
	char path[512];
	long n = raw_syscall5(SYS_readlinkat, AT_FDCWD, (long)SELF, (long)path, sizeof path - 1, 0);

	if (n <= 0)
		return false;
	path[n] = 0;
	return is_word(name, path);
}

/* A guess that may be wrong in both directions for runc: main() makes up for a missed one, and one
 * too many costs only its time.  The shim's `start` and `delete` need their own path: `start`,
 * which becomes the server, finds it in argv[0] or must not be moved. */
static bool makes_containers(const char *name, char **argv)
{
	if (is_shim(argv))
		return !has_word(argv, "delete") &&
		       (!has_word(argv, "start") || knows_itself(name));
	return has_word(argv, "run") || has_word(argv, "create") || has_word(argv, "exec") ||
	       has_word(argv, "restore");
}

static unsigned long aux(char **envp, unsigned long type)
{
	const unsigned long *a;

	while (*envp)
		envp++;
	for (a = (const unsigned long *)(envp + 1); *a != AT_NULL; a += 2)
		if (*a == type)
			return a[1];
	return 0;
}

/* The name that we were executed by: "/dev/fd/N" says by a descriptor, as below.  It only keeps us
 * from trying twice: whether we are protected, main() sees for itself. */
static bool is_second_try(char **envp)
{
	const char *name = (const char *)aux(envp, AT_EXECFN);

	return !name || starts(name, "/dev/fd/");
}

static void put_path(char *ret, long fd)
{
	static const char start[] = "/proc/self/fd/";
	char digits[12];
	int n = 0;

	for (const char *s = start; *s; s++)
		*ret++ = *s;
	do
		digits[n++] = (char)('0' + fd % 10);
	while (fd /= 10);
	while (n)
		*ret++ = digits[--n];
	*ret = 0;
}

static bool map_part(const elf_part *p, long fd)
{
	unsigned long base = (unsigned long)&__ehdr_start, from = (base + p->p_vaddr) & ~(PAGE - 1),
		      end = base + p->p_vaddr + p->p_filesz, whole = (end + PAGE - 1) & ~(PAGE - 1);
	long prot = (p->p_flags & PF_R ? PROT_READ : 0) | (p->p_flags & PF_W ? PROT_WRITE : 0) |
		    (p->p_flags & PF_X ? PROT_EXEC : 0);
	long r = raw_syscall6(SYS_mmap, (long)from, (long)(whole - from), prot,
			      MAP_PRIVATE | MAP_FIXED, fd, (long)(p->p_offset & ~(PAGE - 1)));

	/* what is behind the file's part on its last page is memory that begins with zeros */
	if (r == (long)from && p->p_memsz > p->p_filesz) {
		for (; end % sizeof(long); end++)
			*(volatile char *)end = 0;
		for (; end < whole; end += sizeof(long))
			*(volatile long *)end = 0;
	}
	return r == (long)from;
}

static unsigned long end_of_last(char **list, unsigned long otherwise)
{
	while (*list) {
		const char *s = *list++;

		while (*s++)
			;
		otherwise = (unsigned long)s;
	}
	return otherwise;
}

/* The kernel changes the one thing only together with what it knows of the process's memory, so
 * that is told as it is: nothing has moved since the execve. */
static bool set_exe(long *stack, long fd)
{
	char **argv = (char **)(stack + 1), **envp = argv + stack[0] + 1;
	unsigned long code = (unsigned long)&__ehdr_start, args = (unsigned long)argv[0],
		      args_end = end_of_last(argv, args),
		      brk = (unsigned long)raw_syscall5(SYS_brk, 0, 0, 0, 0, 0);
	memory = (struct prctl_mm_map){
		.start_code = code,
		.end_code = (unsigned long)&etext,
		.start_data = (unsigned long)&etext,
		.end_data = (unsigned long)&edata,
		.start_brk = brk,
		.brk = brk,
		.start_stack = (unsigned long)stack,
		.arg_start = args,
		.arg_end = args_end,
		.env_start = args_end,
		.env_end = end_of_last(envp, args_end),
		.exe_fd = (uint32_t)fd,
	};

	return raw_syscall5(SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, (long)&memory, sizeof memory, 0) ==
	       0;
}

int entry_set_args_end(const char *end)
{
	memory.arg_end = (unsigned long)end;
	memory.brk = (unsigned long)raw_syscall5(SYS_brk, 0, 0, 0, 0, 0);
	memory.exe_fd = (uint32_t)-1; /* stays */
	return (int)raw_syscall5(SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, (long)&memory, sizeof memory,
				 0);
}

/* Puts the file of fd, which is ours on another mount, in the place of what we were executed from.
 */
static bool take_its_place(long *stack, long fd)
{
	const elf_part *p = (const elf_part *)((const char *)&__ehdr_start + __ehdr_start.e_phoff);

	for (int i = 0; i < __ehdr_start.e_phnum; i++)
		if (p[i].p_type == PT_LOAD && !map_part(&p[i], fd))
			return false;
	return set_exe(stack, fd);
}

static bool move_to(long *stack, long mountfd)
{
	char path[32];

	put_path(path, mountfd);
	long fd = raw_syscall5(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0);
	if (fd < 0)
		return false;
	bool done = take_its_place(stack, fd);
	(void)raw_syscall5(SYS_close, fd, 0, 0, 0, 0);
	return done;
}

/* stack: as the kernel left it: argc, argv, NULL, envp, NULL, auxiliary vector. */
__attribute__((used)) void entry_protect(long *stack)
{
	char **argv = (char **)(stack + 1), **envp = argv + stack[0] + 1;
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };

	if (stack[0] < 2 || !makes_containers(argv[0], argv + 1) || is_second_try(envp))
		return;
	/* not close-on-exec: runtime_release_self() says why */
	long fd = raw_syscall5(SYS_open_tree, AT_FDCWD, (long)SELF, OPEN_TREE_CLONE, 0, 0);
	if (fd < 0)
		return;
	if (raw_syscall5(SYS_mount_setattr, fd, (long)"", AT_EMPTY_PATH, (long)&attr,
			 sizeof attr) == 0) {
		if (aux(envp, AT_PAGESZ) == PAGE && move_to(stack, fd)) {
			entry_mount = (int)fd;
			return;
		}
		(void)raw_syscall5(SYS_execveat, fd, (long)"", (long)argv, (long)envp,
				   AT_EMPTY_PATH); /* back here: it failed */
	}
	(void)raw_syscall5(SYS_close, fd, 0, 0, 0, 0);
}

/* The stack is aligned at entry, rdx (x0) is libc's to get. */
#if defined(__x86_64__)
__asm__(".text\n"
	".globl casco_entry\n"
	".hidden casco_entry\n"
	".type casco_entry, @function\n"
	"casco_entry:\n"
	"	xorl %ebp, %ebp\n"
	"	movq %rsp, %rdi\n"
	"	pushq %rdx\n"
	"	subq $8, %rsp\n"
	"	call entry_protect\n"
	"	addq $8, %rsp\n"
	"	popq %rdx\n"
	"	jmp _start\n"
	".size casco_entry, . - casco_entry\n");
#elif defined(__aarch64__)
__asm__(".text\n"
	".globl casco_entry\n"
	".hidden casco_entry\n"
	".type casco_entry, %function\n"
	"casco_entry:\n"
	"	mov x19, x0\n"
	"	mov x0, sp\n"
	"	bl entry_protect\n"
	"	mov x0, x19\n"
	"	b _start\n"
	".size casco_entry, . - casco_entry\n");
#else
#error "no entry for this machine: meson.build leaves this file out there"
#endif
