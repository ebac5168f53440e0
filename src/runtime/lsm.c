#include "runtime/lsm.h"

#include "os/file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>

static bool has_apparmor(void)
{
	AUTO_FREE char *text = NULL;

	return file_read(AT_FDCWD, "/sys/module/apparmor/parameters/enabled", 16, &text, NULL) ==
		       0 &&
	       text[0] == 'Y';
}

/* Its file system is only there when it is on. */
static bool has_selinux(void)
{
	struct statfs fs;

	return statfs("/sys/fs/selinux", &fs) == 0 && fs.f_type == SELINUX_MAGIC;
}

int lsm_check(const struct plan_process *p, const char *mount_label, struct err *e)
{
	if (p->apparmor && !has_apparmor())
		return err_set(e, ERR_UNIMPLEMENTED,
			       "unable to apply apparmor profile: apparmor: config provided but "
			       "apparmor not supported");
	if (p->selinux && !has_selinux())
		return err_set(e, ERR_UNIMPLEMENTED,
			       "selinux label is specified in config, but selinux is disabled or "
			       "not supported");
	if (mount_label && !has_selinux())
		return err_set(e, ERR_UNIMPLEMENTED,
			       "selinux mount label is specified in config, but selinux is "
			       "disabled or not supported");
	return 0;
}
