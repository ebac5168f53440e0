/* Records as bytes: lists of fields, each a tag (1 byte), a length (4 bytes) and its bytes.  One
 * table a struct makes encoder and decoder; unknown tags are skipped, so that an older daemon reads
 * what a newer one wrote, and absent fields are zero ("" for texts). */
#pragma once

#include "base/str.h"
#include "store/label.h"

#include <lmdb.h>

enum rec_kind {
	REC_TEXT, /* const char * */
	REC_U64, /* uint64_t or int64_t */
	REC_TIME, /* struct timespec */
	REC_LABELS, /* struct labels */
	REC_ANY, /* struct any (container.h) */
	REC_EXTENSIONS, /* struct extensions */
	REC_MOUNTS, /* struct mounts (snapshot.h) */
};

struct rec_field {
	uint8_t tag;
	uint8_t kind;
	uint16_t offset;
};
#define REC(t, k, type, member)                    \
	{                                          \
		t, REC_##k, offsetof(type, member) \
	}

/* fields ends with tag 0. */
void rec_encode(struct str *out, const struct rec_field *fields, const void *record);

/* Everything is copied to a; record is zeroed first.  ERR_DATA_LOSS when the bytes are cut off. */
int rec_decode(struct arena *a, const struct rec_field *fields, const MDB_val *bytes, void *record,
	       struct err *e);

/* The same, but values of REC_ANY and REC_EXTENSIONS stay where they are, in bytes. */
int rec_decode_borrowed(struct arena *a, const struct rec_field *fields, const MDB_val *bytes,
			void *record, struct err *e);

enum { REC_MAX = 64 << 20 }; /* of one record; the API's messages are 16 MiB at most */
