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
#define FORMAT "casco seccomp 1"
enum { FILES_MAX = 64, FILE_MAX = SHA256_HEX + BPF_MAXINSNS * sizeof(struct sock_filter) };

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

static void digest_of(const void *p, size_t n, const char *key, char ret[SHA256_HEX + 1])
{
	struct sha256 h;

	sha256_init(&h);
	add_text(&h, key); /* a file renamed is another's */
	add_bytes(&h, p, n);
	sha256_hex(&h, ret);
}

int seccomp_cache_get(const char *dir, const char *key, struct seccomp_filter *ret)
{
	AUTO_FD int dirfd = open_folder(dir);
	AUTO_FD int fd =
		dirfd < 0 ? dirfd
			  : openat(dirfd, key, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	AUTO_FREE char *bytes = xmalloc(FILE_MAX + 1);
	char digest[SHA256_HEX + 1];

	if (dirfd < 0)
		return dirfd;
	if (fd < 0)
		return -errno;
	if (!is_ours_alone(fd, S_IFREG))
		return -EPERM;

	ssize_t n = fd_read_all(fd, bytes, FILE_MAX + 1);
	if (n < 0)
		return (int)n;
	size_t len = (size_t)n - SHA256_HEX;
	if (n <= SHA256_HEX || n > (ssize_t)FILE_MAX || len % sizeof *ret->insns)
		return -EINVAL;
	digest_of(bytes + SHA256_HEX, len, key, digest);
	if (memcmp(digest, bytes, SHA256_HEX) != 0)
		return -EINVAL;
	ret->insns = xmemdup(bytes + SHA256_HEX, len);
	ret->n = (unsigned)(len / sizeof *ret->insns);
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
	AUTO_FREE char *bytes = xmalloc(SHA256_HEX + 1 + len);

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return -errno;

	AUTO_FD int dirfd = open_folder(dir);
	if (dirfd < 0)
		return dirfd;
	empty_when_full(dirfd);
	digest_of(f->insns, len, key, bytes);
	memcpy(bytes + SHA256_HEX, f->insns, len);
	return file_replace(dirfd, key, bytes, SHA256_HEX + len, 0600, false);
}
