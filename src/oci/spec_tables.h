/* The tables of the runtime spec, by file: shared inside oci/ only. */
#pragma once

#include "oci/decode.h"
#include "oci/spec.h"

#define FIELD(k, type, member, text)                                      \
	{                                                                 \
		.name = (text), .kind = (k), .at = offsetof(type, member) \
	}
#define REQUIRED(k, type, member, text)                                                     \
	{                                                                                   \
		.name = (text), .kind = (k), .at = offsetof(type, member), .required = true \
	}
#define FIELD_HAS(k, type, member, has, text)                              \
	{                                                                  \
		.name = (text), .kind = (k), .at = offsetof(type, member), \
		.at_has = offsetof(type, has)                              \
	}
#define NESTED(k, type, member, text, t)                                                \
	{                                                                               \
		.name = (text), .kind = (k), .at = offsetof(type, member), .table = (t) \
	}
#define LIST(type, member, count, text, t)                                         \
	{                                                                          \
		.name = (text), .kind = DECODE_LIST, .at = offsetof(type, member), \
		.at_n = offsetof(type, count), .table = (t)                        \
	}
#define MAP(type, member, count, text, t)                                         \
	{                                                                         \
		.name = (text), .kind = DECODE_MAP, .at = offsetof(type, member), \
		.at_n = offsetof(type, count), .table = (t)                       \
	}
#define IDS(type, member, count, text)                                            \
	{                                                                         \
		.name = (text), .kind = DECODE_IDS, .at = offsetof(type, member), \
		.at_n = offsetof(type, count)                                     \
	}

extern const struct decode_table oci_process_table; /* spec_process.c */
extern const struct decode_table oci_hooks_table;
extern const struct decode_table oci_resources_table; /* spec_resources.c */
extern const struct decode_table oci_linux_table; /* spec_linux.c */
extern const struct decode_table oci_idmapping_table;
extern const struct decode_table oci_seccomp_table; /* spec_seccomp.c */
