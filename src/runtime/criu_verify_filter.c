/* The filters of a checkpoint.  Those of a restored process can't be read from the kernel: only its
 * tracer may, and that is criu.  So criu's image is read before criu reads it. */
#include "runtime/criu_verify.h"

#include "criu/seccomp.pb-c.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#define NAME "seccomp.img"

/* What begins every image since criu 2.0, and this one; numbers of the host's order. */
#define MAGIC_COMMON UINT32_C(0x54564319)
#define MAGIC_SECCOMP UINT32_C(0x64413049)

struct head {
	uint32_t common, kind, size;
};

enum { IMAGE_MAX = 64 << 20 };

static int read_image(int images, uint8_t **ret, size_t *ret_n, struct err *e)
{
	AUTO_FD int fd = openat(images, NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	struct head h;

	if (fd < 0 && errno == ENOENT)
		return err_set(e, ERR_PERMISSION_DENIED, CRIU_MISFIT "there is no " NAME);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, errno, "open " NAME);
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof h || st.st_size > IMAGE_MAX)
		return err_set(e, ERR_PERMISSION_DENIED, CRIU_MISFIT NAME " is no image");
	AUTO_FREE uint8_t *bytes = xmalloc((size_t)st.st_size);
	ssize_t n = fd_read_all(fd, bytes, (size_t)st.st_size);
	if (n < 0)
		return err_sys(e, (int)-n, "read " NAME);
	if ((size_t)n < sizeof h)
		return err_set(e, ERR_PERMISSION_DENIED, CRIU_MISFIT NAME " is no image");
	memcpy(&h, bytes, sizeof h);
	/* one message and nothing else, so that there are no two ways to read it */
	if (h.common != MAGIC_COMMON || h.kind != MAGIC_SECCOMP || h.size != (size_t)n - sizeof h)
		return err_set(e, ERR_PERMISSION_DENIED, CRIU_MISFIT NAME " is no image");
	*ret_n = h.size;
	*ret = xmalloc(h.size + 1);
	memcpy(*ret, bytes + sizeof h, h.size);
	return 0;
}

static bool is_ours(const struct seccomp_filter *f, const ProtobufCBinaryData *d)
{
	size_t n = f->n * sizeof *f->insns;

	return d->len == n && memcmp(d->data, f->insns, n) == 0;
}

/* A process may have put others upon ours, which only take away; below ours there was nothing when
 * the checkpoint was made, since criu reads no filters where it has one itself. */
static int check_image(const CriuSeccompImage *image, const struct seccomp_filter *f, struct err *e)
{
	bool has_ours = false;

	for (size_t i = 0; i < image->n_programs; i++) {
		const CriuSeccompProgram *row = image->programs[i];

		if (row->has_prev && row->prev >= i) /* criu writes what was there first first */
			return err_set(e, ERR_PERMISSION_DENIED,
				       CRIU_MISFIT "seccomp filters in no order");
		if (!row->has_prev && !is_ours(f, &row->filter))
			return err_set(e, ERR_PERMISSION_DENIED,
				       CRIU_MISFIT "another seccomp filter than its profile");
		has_ours = has_ours || !row->has_prev;
	}
	if (!has_ours)
		return err_set(e, ERR_PERMISSION_DENIED, CRIU_MISFIT "there is no seccomp filter");
	return 0;
}

int criu_verify_filters(int images, const struct seccomp_filter *f, struct err *e)
{
	AUTO_FREE uint8_t *bytes = NULL;
	size_t n = 0;

	if (read_image(images, &bytes, &n, e) < 0)
		return -1;
	CriuSeccompImage *image = criu_seccomp_image__unpack(NULL, n, bytes);
	if (!image)
		return err_set(e, ERR_PERMISSION_DENIED, CRIU_MISFIT NAME " is no image");
	int r = check_image(image, f, e);
	criu_seccomp_image__free_unpacked(image, NULL);
	return r;
}
