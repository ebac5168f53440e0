/* The interface files of the services, as their compiler describes them (google/protobuf's
 * descriptor.proto): found by name and by what they define, without a copy.  Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DESCRIPTORS_MAX = 128 }; /* files */

struct descriptor_file {
	const uint8_t *p; /* a FileDescriptorProto */
	size_t n;
};

/* The index of the file, or -1. */
int descriptors_by_name(const char *name);

/* The one that defines a message, field, enum, value of one, service or method:
 * "pkg.Message.field".
 */
int descriptors_by_symbol(const char *symbol);

struct descriptor_file descriptors_file(int i);

/* The indices of what i imports, at most DESCRIPTORS_MAX; returns their number. */
size_t descriptors_imports(int i, int *ret);
