#include "runtime/exec_error.h"

#include "base/macros.h"
#include "os/fd.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { HEAD = 256, NAME = 200, PARTS_MAX = 64 }; /* the kernel looks at 256 bytes of a script */

struct head {
	int fd;
	size_t n;
	char bytes[HEAD + 1];
};

static bool read_head(const char *path, struct head *ret)
{
	struct stat st;
	/* a fifo or a device of the image must not hold us up */
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	ssize_t n;

	ret->fd = fd;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	n = fd_read_all(fd, ret->bytes, HEAD);
	ret->n = n < 0 ? 0 : (size_t)n;
	ret->bytes[ret->n] = 0;
	return n >= 0;
}

static bool is_elf(const struct head *h)
{
	return h->n >= SELFMAG && memcmp(h->bytes, ELFMAG, SELFMAG) == 0;
}

/* The word behind "#!".  False: there is none. */
static bool script_interpreter(const struct head *h, char *ret, size_t size)
{
	if (h->n < 3 || memcmp(h->bytes, "#!", 2) != 0)
		return false;
	const char *word = h->bytes + 2 + strspn(h->bytes + 2, " \t");
	size_t n = strcspn(word, " \t\n");

	if (!n || n >= size)
		return false;
	memcpy(ret, word, n);
	ret[n] = 0;
	return true;
}

struct part {
	uint64_t offset, size;
};

union elf_header {
	Elf64_Ehdr wide;
	Elf32_Ehdr narrow;
};
union elf_part {
	Elf64_Phdr wide;
	Elf32_Phdr narrow;
};

static bool find_interp(const struct head *h, bool is_64, struct part *ret)
{
	size_t size = is_64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
	union elf_header e;
	union elf_part p;

	if (h->n < sizeof e)
		return false; /* too short for a program of either class */
	memcpy(&e, h->bytes, sizeof e);
	uint64_t at = is_64 ? e.wide.e_phoff : e.narrow.e_phoff;
	unsigned n = is_64 ? e.wide.e_phnum : e.narrow.e_phnum;

	if ((is_64 ? e.wide.e_phentsize : e.narrow.e_phentsize) != size)
		return false;
	for (unsigned i = 0; i < n && i < PARTS_MAX; i++) {
		if (pread(h->fd, &p, size, (off_t)(at + i * size)) != (ssize_t)size)
			return false;
		if (p.wide.p_type != PT_INTERP) /* it stands first in both */
			continue;
		*ret = is_64 ? (struct part){ p.wide.p_offset, p.wide.p_filesz }
			     : (struct part){ p.narrow.p_offset, p.narrow.p_filesz };
		return true;
	}
	return false;
}

static bool elf_interpreter(const struct head *h, char *ret, size_t size)
{
	bool is_64 = h->bytes[EI_CLASS] == ELFCLASS64;
	struct part part;

	if (!find_interp(h, is_64, &part) || part.size >= size)
		return false;
	if (pread(h->fd, ret, part.size, (off_t)part.offset) != (ssize_t)part.size)
		return false;
	ret[part.size] = 0;
	return *ret;
}

static bool is_on_noexec(const char *path)
{
	struct statvfs fs;

	return statvfs(path, &fs) == 0 && (fs.f_flag & ST_NOEXEC);
}

/* An interpreter is as much of the image as the script: a name to be shown is bounded by the
 * caller and cleaned where a terminal shows it. */
static void explain_interpreter(const struct head *h, int errnum, struct err *e)
{
	bool is_script = h->n >= 2 && memcmp(h->bytes, "#!", 2) == 0;
	char name[NAME];
	size_t n;

	if (!(is_script ? script_interpreter(h, name, sizeof name)
			: is_elf(h) && elf_interpreter(h, name, sizeof name)))
		return;
	n = strlen(name);
	if (is_script && name[n - 1] == '\r') {
		name[n - 1] = 0;
		err_add(e,
			"the lines of the script end as DOS's do (CR LF), so that its interpreter "
			"is \"%s\\r\"",
			name);
	} else if (access(name, F_OK) < 0) {
		err_add(e, "the interpreter \"%s\" of the %s is not there", name,
			is_script ? "script" : "program");
	} else if (errnum == EACCES && access(name, X_OK) < 0) {
		err_add(e, "the interpreter \"%s\" of the %s may not be executed", name,
			is_script ? "script" : "program");
	}
}

static const struct {
	uint16_t machine;
	const char *name;
} machines[] = {
	{ EM_386, "386" },       { EM_X86_64, "amd64" }, { EM_ARM, "arm" },
	{ EM_AARCH64, "arm64" }, { EM_S390, "s390x" },   { EM_PPC64, "ppc64(le)" },
	{ EM_RISCV, "riscv64" }, { EM_MIPS, "mips" },    { 258, "loong64" },
};

static const char *machine_name(uint16_t machine)
{
	for (size_t i = 0; i < ARRAY_LEN(machines); i++)
		if (machines[i].machine == machine)
			return machines[i].name;
	return "another machine";
}

static void explain_format(const struct head *h, struct err *e)
{
	uint16_t machine;

	if (!h->n) {
		err_add(e, "the file is empty");
	} else if (is_elf(h) && h->n >= sizeof(Elf32_Ehdr)) {
		memcpy(&machine, h->bytes + offsetof(Elf64_Ehdr, e_machine), sizeof machine);
#if defined(__x86_64__)
		enum { OURS = EM_X86_64 };
#elif defined(__aarch64__)
		enum { OURS = EM_AARCH64 };
#else
		enum { OURS = EM_NONE };
#endif
		if (machine != OURS)
			err_add(e, "the program is for %s, and this machine is %s",
				machine_name(machine), machine_name(OURS));
	} else if (h->bytes[0] != '#') {
		err_add(e, "it is neither a program nor a script that begins with \"#!\"");
	}
}

void exec_error_explain(const char *path, int errnum, bool is_filtered, struct err *e)
{
	struct head h = { .fd = -1 };
	struct stat st;

	if (errnum == EPERM && is_filtered)
		err_add(e, "the seccomp profile may not allow execve");
	if (errnum == E2BIG)
		err_add(e, "the arguments and the environment are too large");
	if (errnum == EAGAIN)
		err_add(e, "RLIMIT_NPROC of its user is used up");
	if (errnum == ETXTBSY)
		err_add(e, "somebody has the program open for writing");
	if (errnum == EACCES && stat(path, &st) == 0) {
		if (is_on_noexec(path)) {
			err_add(e, "it is on a mount with noexec");
			return;
		}
		if (S_ISREG(st.st_mode) && !(st.st_mode & 0111)) {
			err_add(e, "its mode is %04o, nobody may execute it", st.st_mode & 07777);
			return;
		}
	}
	if ((errnum == ENOENT || errnum == EACCES || errnum == ENOEXEC) && read_head(path, &h)) {
		if (errnum == ENOEXEC)
			explain_format(&h, e);
		else
			explain_interpreter(&h, errnum, e);
	}
	close_fd(&h.fd);
}
