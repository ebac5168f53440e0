/* "some avg10=1.23 avg60=0.00 avg300=0.00 total=4567" and the same with "full". */
#include "base/num.h"
#include "cgroup/stat_read.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>

/* "12.30" → 1230 */
static bool parse_hundredths(const char *text, uint32_t *ret)
{
	AUTO_FREE char *whole = xstrndup(text, strcspn(text, "."));
	const char *dot = strchr(text, '.');
	uint32_t n;

	if (!dot || !isdigit((unsigned char)dot[1]) || !isdigit((unsigned char)dot[2]) || dot[3] ||
	    num_u32(whole, &n) < 0 || n > UINT32_MAX / 100 - 1)
		return false;
	*ret = n * 100 + (uint32_t)(dot[1] - '0') * 10 + (uint32_t)(dot[2] - '0');
	return true;
}

static bool parse_words(char *words, struct cgroup_pressure_line *ret)
{
	char *save = NULL;
	const struct {
		const char *key;
		uint32_t *to;
	} averages[] = {
		{ "avg10=", &ret->avg10 },
		{ "avg60=", &ret->avg60 },
		{ "avg300=", &ret->avg300 },
	};

	for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		if (str_starts(w, "total=") && num_u64(w + 6, &ret->total) < 0)
			return false;
		for (size_t i = 0; i < ARRAY_LEN(averages); i++)
			if (str_starts(w, averages[i].key) &&
			    !parse_hundredths(w + strlen(averages[i].key), averages[i].to))
				return false;
	}
	return true;
}

bool psi_parse(const char *text, struct cgroup_pressure *ret)
{
	AUTO_FREE char *copy = xstrdup(text);
	char *save = NULL;

	*ret = (struct cgroup_pressure){ 0 };
	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct cgroup_pressure_line *to = str_starts(line, "some ")   ? &ret->some
						  : str_starts(line, "full ") ? &ret->full
									      : NULL;

		if (!to)
			continue;
		if (!parse_words(line + 5, to))
			return false;
		ret->has = true;
	}
	return ret->has;
}

void psi_read(int dirfd, const char *file, struct cgroup_pressure *ret)
{
	char text[512];

	/* Absent without CONFIG_PSI or after "echo 0 > cgroup.pressure"; some kernels that were
	 * not booted with psi=1 fail the read. */
	if (cg_read(dirfd, file, text, sizeof text) < 0 || !psi_parse(text, ret))
		*ret = (struct cgroup_pressure){ 0 };
}
