/* Where a static program of ours begins: before libc.
 *
 * A program that makes containers executes itself again from a mount that nobody can write
 * (runtime_protect_self).  Done in main() that costs a whole start of libc, which asks the
 * processor for its features some hundred times; each question is an exit to the hypervisor on a
 * virtual machine, 0.3 ms in all.  So the same is tried here first, with plain system calls.  What
 * fails here is left to main(), which knows other ways and says what is wrong.
 *
 * Nothing is relocated yet and there is no thread pointer: no pointer tables, no libc, no stack
 * protector (the flags are in meson.build). */
#include "base/macros.h"
#include "os/rawcall.h"

#include <fcntl.h>
#include <linux/auxvec.h>
#include <linux/mount.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SELF "/proc/self/exe"

void entry_protect(long *stack); /* called by the assembly below */

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

/* A guess that may be wrong in both directions for runc: main() makes up for a missed one, and one
 * too many costs only its time.  The shim's `start` and `delete` need their own path, so for them
 * it must not be made. */
static bool makes_containers(char **argv)
{
	if (is_shim(argv))
		return !has_word(argv, "start") && !has_word(argv, "delete");
	return has_word(argv, "run") || has_word(argv, "create") || has_word(argv, "exec") ||
	       has_word(argv, "restore");
}

/* The name that we were executed by: "/dev/fd/N" says by a descriptor, as below.  It only keeps us
 * from trying twice: whether we are protected, main() sees for itself. */
static bool is_second_try(char **envp)
{
	const unsigned long *aux;

	while (*envp)
		envp++;
	for (aux = (const unsigned long *)(envp + 1); *aux != AT_NULL; aux += 2)
		if (*aux == AT_EXECFN)
			return starts((const char *)aux[1], "/dev/fd/");
	return true;
}

/* stack: as the kernel left it: argc, argv, NULL, envp, NULL, auxiliary vector. */
__attribute__((used)) void entry_protect(long *stack)
{
	char **argv = (char **)(stack + 1), **envp = argv + stack[0] + 1;
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };

	if (stack[0] < 2 || !makes_containers(argv + 1) || is_second_try(envp))
		return;
	/* not close-on-exec: runtime_release_self() says why */
	long fd = raw_syscall5(SYS_open_tree, AT_FDCWD, (long)SELF, OPEN_TREE_CLONE, 0, 0);
	if (fd < 0)
		return;
	if (raw_syscall5(SYS_mount_setattr, fd, (long)"", AT_EMPTY_PATH, (long)&attr,
			 sizeof attr) == 0)
		(void)raw_syscall5(SYS_execveat, fd, (long)"", (long)argv, (long)envp,
				   AT_EMPTY_PATH); /* back here: it failed */
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
