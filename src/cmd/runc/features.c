/* runc features. */
#include "runtime/features.h"
#include "cmd/runc/cli.h"

#include "os/fd.h"

static const struct option no_options[] = { { NULL } };

static int run_features(struct invocation *in, struct err *e)
{
	AUTO_STR struct str out = STR_INIT(1 << 20);

	(void)in;
	features_print(&out);
	int r = fd_write_all(STDOUT_FILENO, str_c(&out), out.len);
	return r < 0 ? err_sys(e, -r, "write /dev/stdout") : 0;
}

const struct command command_features = {
	.name = "features",
	.usage = "[arguments...]",
	.summary = "show the enabled features",
	.description = "   Shows what this runtime knows, as JSON.\n"
		       "   The fields are those of the runtime specification's features.md.\n",
	.options = no_options,
	.min_args = 0,
	.max_args = 0,
	.run = run_features,
};
