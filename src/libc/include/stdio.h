/* musl's <stdio.h> without its macros of these names, which the members of generated structs have
 * too. */
#include_next <stdio.h>
#undef stdin
#undef stdout
#undef stderr
