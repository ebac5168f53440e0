/* The daemon's config.toml, from its bytes to struct config, then printed and read again. */
#include "base/log.h"
#include "cmd/containerd/config_load.h"
#include "os/file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int load(const void *bytes, size_t n, struct config *ret, struct err *e)
{
	AUTO_FD int fd = memfd_create("config", MFD_CLOEXEC);
	AUTO_FREE char *path = xasprintf("/proc/self/fd/%d", fd);
	const struct config_flags flags = { .file = path };

	if (fd < 0 || write(fd, bytes, n) != (ssize_t)n)
		__builtin_trap();
	return config_load(&flags, ret, e);
}

/* Other files are not the fuzzer's to read. */
static bool has_imports(const uint8_t *data, size_t n)
{
	return memmem(data, n, "import", 6) || memchr(data, '\\', n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct config c = { 0 }, again = { 0 };
	struct err e = { 0 };

	log_setup(-1, LOG_TEXT, LOG_ERROR);
	if (has_imports(data, n))
		return 0;
	if (load(data, n, &c, &e) == 0) {
		AUTO_STR struct str first = STR_INIT(4 << 20), second = STR_INIT(4 << 20);

		config_print(&c, &first);
		if (load(first.ptr, first.len, &again, &e) < 0)
			__builtin_trap(); /* what `config dump` prints is no configuration */
		config_print(&again, &second);
		if (strcmp(str_c(&first), str_c(&second)) != 0)
			__builtin_trap(); /* or another one */
	}
	arena_free(c.arena);
	arena_free(again.arena);
	return 0;
}
