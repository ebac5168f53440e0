/* A new file system by one mount(2) in place of some ten calls for a detached one and its way to
 * its place.  The place is the working directory for that moment, so that no path is looked up. */
#include "runtime/mount_api.h"

#include "base/str.h"

#include <sys/mount.h>

bool mount_direct(const char *fstype, const char *source, const struct fs_param *params,
		  size_t n_params, uint64_t attr, int target, int cwd)
{
	AUTO_STR struct str data = STR_INIT(4095); /* the kernel copies a page */
	unsigned long flags = mount_old_flags(attr);

	/* read-only as a flag of this call would be the file system too, not only the mount */
	if (attr & MOUNT_ATTR_RDONLY || mount_old_data(params, n_params, &data, &flags) < 0 ||
	    fchdir(target) < 0)
		return false;
	int r = mount(source && *source ? source : "none", ".", fstype, flags,
		      data.len ? str_c(&data) : NULL);
	if (fchdir(cwd) < 0)
		BUG("we were there before");
	return r == 0;
}
