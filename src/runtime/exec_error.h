/* Why a program can't be executed, where the kernel's word alone sends people looking in the wrong
 * place: "no such file or directory" is said of an interpreter, too. */
#pragma once

#include "base/err.h"

#include <stdbool.h>

/* Adds to e, which tells of errnum for path, what can be seen from here: as the container's user
 * and in its root.  Says nothing where it sees nothing. */
void exec_error_explain(const char *path, int errnum, bool is_filtered, struct err *e);
