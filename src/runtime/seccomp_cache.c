#include "runtime/seccomp_cache.h"

#include "os/fd.h"
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <string.h>
#include <sys/stat.h>

/* Raised when our own part of the program changes: older files are then not found. */
#define FORMAT "casco seccomp 2"
enum { FILES_MAX = 64, INSNS_MAX = BPF_MAXINSNS * sizeof(struct sock_filter) };

static void add_bytes(struct sha256 *h, const void *p, uint64_t n)
{
	sha256_add(h, &n, sizeof n); /* so that no two lists have the same bytes */
	sha256_add(h, p, n);
}

static void add_text(struct sha256 *h, const char *s)
{
	add_bytes(h, s ? s : "", s ? strlen(s) + 1 : 0);
}

static void add_u64(struct sha256 *h, uint64_t v)
{
	sha256_add(h, &v, sizeof v);
}

static void add_strings(struct sha256 *h, const struct oci_strings *l)
{
	add_u64(h, l->n);
	for (size_t i = 0; i < l->n; i++)
		add_text(h, l->v[i]);
}

static void add_errno(struct sha256 *h, struct oci_u64 v)
{
	add_u64(h, v.has);
	add_u64(h, v.v);
}

void seccomp_cache_key(const struct oci_seccomp *s, char ret[SECCOMP_KEY + 1])
{
	const struct scmp_version *lib = seccomp_version();
	struct sha256 h;

	sha256_init(&h);
	add_text(&h, FORMAT " " CASCO_VERSION);
	add_u64(&h, (uint64_t)lib->major << 32 | lib->minor << 16 | lib->micro);
	add_u64(&h, seccomp_arch_native());
	add_text(&h, s->default_action);
	add_errno(&h, s->default_errno_ret);
	add_strings(&h, &s->architectures);
	add_u64(&h, s->n_syscalls);
	for (size_t i = 0; i < s->n_syscalls; i++) {
		const struct oci_syscall *c = &s->syscalls[i];

		add_strings(&h, &c->names);
		add_text(&h, c->action);
		add_errno(&h, c->errno_ret);
		add_u64(&h, c->n_args);
		for (size_t k = 0; k < c->n_args; k++) {
			add_u64(&h, c->args[k].index);
			add_u64(&h, c->args[k].value);
			add_u64(&h, c->args[k].value_two);
			add_text(&h, c->args[k].op);
		}
	}
	sha256_hex(&h, ret);
}

static bool is_ours_alone(int fd, mode_t type)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == type && st.st_uid == geteuid() &&
	       !(st.st_mode & 077);
}

static int open_folder(const char *dir)
{
	AUTO_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return is_ours_alone(fd, S_IFDIR) ? TAKE_FD(fd) : -EPERM;
}

static uint64_t sum_more(uint64_t sum, const void *p, size_t n)
{
	for (size_t i = 0; i + 8 <= n; i += 8) {
		uint64_t word;

		memcpy(&word, (const char *)p + i, sizeof word);
		sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		sum ^= sum >> 32;
	}
	return sum;
}

/* Against what disks and people do to files: who may write this folder needs no cache to harm us.
 */
static uint64_t sum_of(const void *p, size_t n, const char *key)
{
	/* with the key: a file renamed is another's; all lengths are whole words */
	return sum_more(sum_more(n, key, SECCOMP_KEY), p, n);
}

int seccomp_cache_get(const char *dir, const char *key, struct seccomp_filter *ret)
{
	AUTO_FD int dirfd = open_folder(dir);
	AUTO_FD int fd =
		dirfd < 0 ? dirfd
			  : openat(dirfd, key, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	uint64_t sum;

	if (dirfd < 0)
		return dirfd;
	if (fd < 0)
		return -errno;
	if (!is_ours_alone(fd, S_IFREG))
		return -EPERM;

	if (fstat(fd, &st) < 0)
		return -errno;
	off_t len = st.st_size - (off_t)sizeof sum;
	if (len <= 0 || len > (off_t)INSNS_MAX || len % (off_t)sizeof *ret->insns)
		return -EINVAL;
	AUTO_FREE void *insns = xmalloc((size_t)len);
	if (fd_read_all(fd, &sum, sizeof sum) != (ssize_t)sizeof sum ||
	    fd_read_all(fd, insns, (size_t)len) != len || sum != sum_of(insns, (size_t)len, key))
		return -EINVAL;
	ret->insns = TAKE_PTR(insns);
	ret->n = (unsigned)((size_t)len / sizeof *ret->insns);
	return 0;
}

static void empty_when_full(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *d;
	size_t n = 0;

	if (!dir) {
		close_fd(&fd);
		return;
	}
	while (readdir(dir))
		n++;
	rewinddir(dir);
	while (n > FILES_MAX && (d = readdir(dir)))
		if (d->d_name[0] != '.')
			(void)unlinkat(fd, d->d_name, 0); /* gone already is as good */
	closedir(dir);
}

int seccomp_cache_put(const char *dir, const char *key, const struct seccomp_filter *f)
{
	size_t len = f->n * sizeof *f->insns;
	uint64_t sum = sum_of(f->insns, len, key);
	AUTO_FREE char *bytes = xmalloc(sizeof sum + len);

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return -errno;

	AUTO_FD int dirfd = open_folder(dir);
	if (dirfd < 0)
		return dirfd;
	empty_when_full(dirfd);
	memcpy(bytes, &sum, sizeof sum);
	memcpy(bytes + sizeof sum, f->insns, len);
	return file_replace(dirfd, key, bytes, sizeof sum + len, 0600, false);
}
