/* mountinfo, for the mount that the root file system is on. */
#include "runtime/mountinfo.h"

#include "base/mem.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO_FREE char *text = xstrndup((const char *)data, n);

	for (uint64_t id = 20; id < 30; id++) {
		AUTO_STR struct str point = STR_INIT(1 << 20);
		bool has = mountinfo_point(text, id, &point);

		if (has != (point.len > 0) || (has && str_c(&point)[0] != '/') ||
		    point.len > strlen(text))
			__builtin_trap();

		const char *at = text, *before = text;
		AUTO_STR struct str bare = STR_INIT(1 << 20);
		for (; mountinfo_next_bare(text, id, &at, &bare); before = at)
			if (at <= before || !bare.len)
				__builtin_trap();
		if (*at)
			__builtin_trap();
	}
	return 0;
}
