/* A program of the operator's that is given some bytes and answers with some: verifiers, credential
 * helpers. */
#pragma once

#include "base/err.h"
#include "base/str.h"

/* Its exit code (or 128 + the signal's number), its standard output in *said (what is more than
 * that takes is dropped), its standard error nowhere.  One that is not done after timeout (ns)
 * goes, with its group.  -1: it could not be run, or that. */
int program_ask(const char *path, const char *const *argv, const void *in, size_t n,
		uint64_t timeout, struct str *said, struct err *e);
