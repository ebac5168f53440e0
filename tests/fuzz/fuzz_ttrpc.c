/* ttrpc frames in pieces: whatever the bytes are, the same frames come out however they are cut. */
#include "wire/ttrpc.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A checksum of the frames that bytes, cut every `step`, make. */
static uint64_t run(const uint8_t *data, size_t n, size_t step)
{
	struct ttrpc_reader r = TTRPC_READER_INIT;
	uint64_t sum = 14695981039346656037u;

	for (size_t at = 0; at < n;) {
		size_t len = n - at < step ? n - at : step;
		struct ttrpc_frame f;
		bool has;
		size_t used = ttrpc_reader_push(&r, data + at, len, &f, &has);

		if (!used || used > len || r.cap > 2 * n + 1024)
			__builtin_trap(); /* no progress, or memory by a claim */
		at += used;
		if (!has)
			continue;
		sum = (sum ^ f.stream ^ (uint64_t)f.type << 32 ^ (uint64_t)f.flags << 40) *
		      1099511628211u;
		for (size_t i = 0; f.body && i < f.len; i++)
			sum = (sum ^ f.body[i]) * 1099511628211u;
	}
	ttrpc_reader_done(&r);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint64_t whole = run(data, n, n ? n : 1);

	if (run(data, n, 1) != whole || run(data, n, 7) != whole)
		__builtin_trap();
	return 0;
}
