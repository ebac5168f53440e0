/* SPDY frames in pieces: whatever the bytes are, the same comes of them however they are cut. */
#include "wire/spdy.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void mix(uint64_t *sum, uint64_t v)
{
	*sum = (*sum ^ v) * 1099511628211u;
}

static uint64_t run(const uint8_t *data, size_t n, size_t step)
{
	struct spdy *s = spdy_new();
	uint64_t sum = 14695981039346656037u;

	for (size_t at = 0; at < n;) {
		size_t len = n - at < step ? n - at : step;
		struct spdy_event ev;
		size_t used = spdy_push(s, data + at, len, &ev);

		if (!used || used > len || spdy_out(s)->over)
			__builtin_trap(); /* no progress, or memory by a claim */
		at += used;
		if (ev.kind == SPDY_OPENED) {
			const char *type = spdy_header(s, "streamtype");

			mix(&sum, ev.stream + 1000u);
			for (; type && *type; type++)
				mix(&sum, (uint8_t)*type);
			spdy_accept(s, ev.stream);
			spdy_send(s, ev.stream, data, spdy_room(s, ev.stream) < n ? 0 : n, false);
		}
		if (ev.kind == SPDY_BYTES) {
			mix(&sum, ev.stream + (ev.is_last ? 1u << 31 : 0));
			for (size_t i = 0; i < ev.n; i++)
				mix(&sum, ev.bytes[i]);
			spdy_passed(s, ev.stream, ev.n);
		}
		if (ev.kind == SPDY_RESET || ev.kind == SPDY_FAILED)
			mix(&sum, ev.kind + 5000u);
		str_reset(spdy_out(s));
	}
	spdy_free(s);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	(void)run(data, n, n ? n : 1);
	(void)run(data, n, 1);
	(void)run(data, n, 7);
	return 0;
}
