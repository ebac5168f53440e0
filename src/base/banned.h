/* Calls that have a safer form in base/ or os/.  Included by base/macros.h, so that a use fails to
 * compile wherever our headers come first; tools/banned.py finds the rest. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#undef sprintf /* glibc's macros for clang where a build is fortified: a macro's name can't be \
		  poisoned */
#undef vsprintf
/* Poisoned words are an error wherever they stand after this line; system headers came before. */
#pragma GCC poison strcpy strcat sprintf vsprintf strncpy strncat strtok gmtime localtime
#pragma GCC poison atoi atol atoll popen mktemp tmpnam gets
