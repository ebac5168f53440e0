/* Runs a fuzz target over files: its corpus, and what a fuzzer once found.  Under libFuzzer this
 * file is left out and the fuzzer brings its own main(). */
#include "base/mem.h"
#include "os/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { MAX_INPUT_BYTES = 16 << 20 };

static int one(int dirfd, const char *name)
{
	AUTO_FREE char *bytes = NULL;
	size_t n;

	if (file_read(dirfd, name, MAX_INPUT_BYTES, &bytes, &n) < 0) {
		fprintf(stderr, "cannot read %s\n", name);
		return -1;
	}
	/* An exact copy: a read of one byte too many is seen by AddressSanitizer. */
	AUTO_FREE uint8_t *exact = xmemdup(bytes, n);
	(void)LLVMFuzzerTestOneInput(exact, n);

	/* Every prefix of a small input too: cut-off input is what a network brings. */
	for (size_t cut = 0; n <= 4096 && cut < n; cut++) {
		AUTO_FREE uint8_t *prefix = xmemdup(bytes, cut);
		(void)LLVMFuzzerTestOneInput(prefix, cut);
	}
	return 0;
}

int main(int argc, char **argv)
{
	int count = 0;

	for (int i = 1; i < argc; i++) {
		AUTO_FD int dirfd = open(argv[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		DIR *dir = opendir(argv[i]);
		struct dirent *d;

		if (dirfd < 0 || !dir) {
			fprintf(stderr, "cannot open %s\n", argv[i]);
			return 1;
		}
		while ((d = readdir(dir))) {
			if (d->d_name[0] == '.')
				continue;
			if (one(dirfd, d->d_name) < 0)
				return 1;
			count++;
		}
		closedir(dir);
	}
	if (count == 0) {
		fprintf(stderr, "no input\n");
		return 1;
	}
	printf("ok - %d inputs and their prefixes\n", count);
	return 0;
}
