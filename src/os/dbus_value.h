/* D-Bus values: trees in an arena, their bytes, and messages read back with every length checked.
 *
 * The client's own messages are little-endian; what comes in may be either.  Nothing here makes a
 * system call.  Names are the specification's (dbus.freedesktop.org/doc/dbus-specification.html).
 *
 * All return -errno on failure: -EBADMSG for bytes that are not what they should be. */
#pragma once

#include "base/mem.h"
#include "base/str.h"

enum {
	DBUS_SIGNATURE_MAX = 255,
	DBUS_DEPTH_MAX = 32, /* containers in containers */
	DBUS_MESSAGE_MAX = 1 << 20, /* the specification allows 128 MiB; nobody here needs that */
};

/* One value.  Constructors fill it; strings are borrowed. */
struct dbus_value {
	char type; /* y b n q i u x t d s o g a v ( {, the last two for struct and dict entry */
	union {
		uint64_t number; /* also negative ones (two's complement) and booleans */
		double real;
		const char *text;
	} u;
	const char *element; /* an array's: the signature of what is in it */
	struct dbus_value *v; /* a container's: what is in it; a variant has one */
	size_t n;
};

struct dbus_value dbus_bool(bool v);
struct dbus_value dbus_u32(uint32_t v);
struct dbus_value dbus_u64(uint64_t v);
struct dbus_value dbus_string(const char *v);
struct dbus_value dbus_bytes(struct arena *a, const void *bytes, size_t n); /* ay */
struct dbus_value dbus_array(struct arena *a, const char *element, const struct dbus_value *v,
			     size_t n);
struct dbus_value dbus_struct(struct arena *a, const struct dbus_value *v, size_t n);
struct dbus_value dbus_variant(struct arena *a, struct dbus_value v);

void dbus_signature(const struct dbus_value *v, struct str *out);
/* The bytes behind those that are there: alignment counts from the start of out. */
void dbus_put(struct str *out, const struct dbus_value *v);
/* As people read it: "uint64 5", "['a', 'b']"; for tests and logs. */
void dbus_print(const struct dbus_value *v, struct str *out);

/* A place in received bytes.  The first read that does not fit sets `bad`; all later ones give 0
 * and "": check it once. */
struct dbus_in {
	const unsigned char *p;
	size_t n, at;
	bool big_endian, bad;
};

uint32_t dbus_get_u32(struct dbus_in *in); /* b too */
const char *dbus_get_string(struct dbus_in *in); /* s and o; borrowed from the bytes */
const char *dbus_get_signature(struct dbus_in *in);

enum dbus_type {
	DBUS_METHOD_CALL = 1,
	DBUS_METHOD_RETURN = 2,
	DBUS_ERROR = 3,
	DBUS_SIGNAL = 4,
};

/* A message; its strings are borrowed from the bytes it was parsed from, "" for what it lacks. */
struct dbus_message {
	enum dbus_type type;
	uint32_t serial, reply_serial;
	const char *path, *interface, *member, *error, *destination, *sender, *signature;
	struct dbus_in body;
};

/* The bytes of a method call. */
void dbus_build_call(struct str *out, uint32_t serial, const char *destination, const char *path,
		     const char *interface, const char *member, const struct dbus_value *args,
		     size_t n_args);

enum { DBUS_HEADER_MIN = 16 };
/* How many bytes a message has, from its first DBUS_HEADER_MIN.  -EMSGSIZE above the maximum. */
int dbus_message_size(const void *head, size_t *ret);
int dbus_message_parse(const void *bytes, size_t n, struct dbus_message *ret);
