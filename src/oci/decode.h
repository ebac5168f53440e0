/* JSON objects into C structs by tables: one table a struct, one row a field.
 *
 * Strict: a wrong type, a number out of range and a NUL byte in a string are errors which name the
 * field's path ("process.user.uid is a string, must be an integer").  null is the same as absent;
 * fields that no row names are ignored.  Everything lands in the decoder's arena. */
#pragma once

#include "base/err.h"
#include "base/jsonr.h"
#include "base/mem.h"

#include <stdbool.h>

enum decode_kind {
	DECODE_STRING, /* const char * */
	DECODE_BOOL, /* bool */
	DECODE_CHAR, /* char: a string of one byte */
	DECODE_U32, /* uint32_t */
	DECODE_ID, /* uint32_t, and never 2^32-1 */
	DECODE_I64, /* int64_t */
	DECODE_U64, /* uint64_t */
	DECODE_HAS_I64, /* struct oci_i64 */
	DECODE_HAS_U64, /* struct oci_u64 */
	DECODE_STRINGS, /* struct oci_strings */
	DECODE_IDS, /* uint32_t *, at_n: size_t */
	DECODE_PAIRS, /* struct oci_pairs, from an object of strings */
	DECODE_STRUCT, /* a struct in place, by table */
	DECODE_STRUCT_PTR, /* a pointer to one, NULL when absent */
	DECODE_LIST, /* a pointer to many, at_n: size_t */
	DECODE_MAP, /* the same from an object; a struct's first member is a const char *: its key
		     */
	DECODE_UNSUPPORTED, /* const char *: the first such field's path, where it is not empty */
};

struct decoder;

struct decode_table {
	const struct decode_field *fields; /* ends with a NULL name */
	size_t size; /* of the struct */
	/* Looks at the whole struct when its fields are in; fails by decode_fail.  May be NULL. */
	int (*check)(struct decoder *d, void *out);
};

struct decode_field {
	const char *name;
	enum decode_kind kind;
	bool required;
	size_t at; /* offset of the member */
	size_t at_n; /* of a count */
	size_t at_has; /* of a bool that says the field was there; 0: none */
	const struct decode_table *table;
};

/* Where we are, innermost first. */
struct decode_step {
	const struct decode_step *up;
	const char *name; /* NULL: an index */
	size_t index;
};

struct decoder {
	struct arena *arena;
	struct err *e;
	const struct decode_step *at;
};

/* The whole struct at out, which is zeroed before. */
int decode_struct(struct decoder *d, json_object *o, const struct decode_table *t, void *out);

/* One member of o by one row. */
int decode_member(struct decoder *d, json_object *o, const struct decode_field *f, void *out);

/* "PATH.name TEXT"; name may be NULL.  -1. */
int decode_fail(struct decoder *d, const char *name, const char *fmt, ...) PRINTF(3, 4);

/* The path of the place, in the arena: "linux.seccomp.syscalls[3]". */
const char *decode_path(struct decoder *d, const char *name);

/* True where any string of the text holds an escaped NUL: json-c would cut a key there. */
bool decode_has_nul(const char *text, size_t n);
