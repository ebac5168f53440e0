#include "runtime/caps.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static const char *const names[] = {
	"CAP_CHOWN",
	"CAP_DAC_OVERRIDE",
	"CAP_DAC_READ_SEARCH",
	"CAP_FOWNER",
	"CAP_FSETID",
	"CAP_KILL",
	"CAP_SETGID",
	"CAP_SETUID",
	"CAP_SETPCAP",
	"CAP_LINUX_IMMUTABLE",
	"CAP_NET_BIND_SERVICE",
	"CAP_NET_BROADCAST",
	"CAP_NET_ADMIN",
	"CAP_NET_RAW",
	"CAP_IPC_LOCK",
	"CAP_IPC_OWNER",
	"CAP_SYS_MODULE",
	"CAP_SYS_RAWIO",
	"CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE",
	"CAP_SYS_PACCT",
	"CAP_SYS_ADMIN",
	"CAP_SYS_BOOT",
	"CAP_SYS_NICE",
	"CAP_SYS_RESOURCE",
	"CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG",
	"CAP_MKNOD",
	"CAP_LEASE",
	"CAP_AUDIT_WRITE",
	"CAP_AUDIT_CONTROL",
	"CAP_SETFCAP",
	"CAP_MAC_OVERRIDE",
	"CAP_MAC_ADMIN",
	"CAP_SYSLOG",
	"CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ",
	"CAP_PERFMON",
	"CAP_BPF",
	"CAP_CHECKPOINT_RESTORE",
};
_Static_assert(ARRAY_LEN(names) == 41, "one name for each capability");

int caps_number(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcasecmp(names[i], name) == 0)
			return (int)i;
	return -1;
}

const char *caps_name(unsigned number)
{
	return number < ARRAY_LEN(names) ? names[number] : NULL;
}

static uint64_t mask_of(const struct oci_strings *s, struct strv *unknown)
{
	uint64_t mask = 0;

	for (size_t i = 0; i < s->n; i++) {
		int n = caps_number(s->v[i]);

		if (n >= 0)
			mask |= UINT64_C(1) << n;
		else if (!strv_has(unknown, s->v[i]))
			strv_add(unknown, s->v[i]);
	}
	return mask;
}

/* The kernel's rule, by which apply_ambient() passes over them; in runc's words. */
static void warn_of_ambient(const struct plan_caps *c, struct strv *warnings)
{
	uint64_t refused = c->ambient & ~(c->permitted & c->inheritable);

	for (size_t n = 0; n < ARRAY_LEN(names); n++)
		if (refused & (UINT64_C(1) << n))
			strv_addf(warnings, "can't raise ambient capability %s: %s", names[n],
				  err_errno_text(EPERM));
}

void caps_plan(const struct oci_capabilities *c, struct plan_caps *ret, struct strv *warnings)
{
	AUTO_STRV struct strv unknown = { 0 };
	AUTO_STR struct str text = STR_INIT(4096);

	*ret = (struct plan_caps){ 0 };
	if (!c)
		return;
	ret->is_set = true;
	ret->bounding = mask_of(&c->bounding, &unknown);
	ret->effective = mask_of(&c->effective, &unknown);
	ret->inheritable = mask_of(&c->inheritable, &unknown);
	ret->permitted = mask_of(&c->permitted, &unknown);
	ret->ambient = mask_of(&c->ambient, &unknown);
	for (size_t i = 0; i < unknown.n; i++)
		str_addf(&text, "%s%s", i ? " " : "", unknown.v[i]);
	if (unknown.n)
		strv_addf(warnings, "ignoring unknown or unavailable capabilities: [%s]",
			  str_c(&text));
	warn_of_ambient(ret, warnings);
}

int caps_apply_bounding(const struct plan_caps *c, struct err *e)
{
	for (unsigned n = 0; c->is_set && n < 64; n++) {
		if (c->bounding & (UINT64_C(1) << n))
			continue;
		if (prctl(PR_CAPBSET_DROP, n, 0, 0, 0) == 0)
			continue;
		if (errno == EINVAL)
			return 0; /* past this kernel's last */
		return err_sys(e, errno, "drop capability %u from the bounding set", n);
	}
	return 0;
}

static int apply_ambient(uint64_t ambient, struct err *e)
{
	/* EINVAL: a kernel before 4.3, which has none to clear */
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
		return err_sys(e, errno, "clear the ambient capabilities");
	for (unsigned n = 0; n < ARRAY_LEN(names); n++)
		/* What is not permitted and inheritable too can't be ambient: runc passes over it
		 * with a warning (caps_plan), and the default spec of older runcs relies on that.
		 */
		if ((ambient & (UINT64_C(1) << n)) &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, n, 0, 0) < 0 && errno != EPERM)
			return err_sys(e, errno, "raise ambient capability %s", names[n]);
	return 0;
}

int caps_apply(const struct plan_caps *c, struct err *e)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct now[2], want[2];

	if (!c->is_set)
		return 0;
	if (syscall(SYS_capget, &head, now) < 0)
		return err_sys(e, errno, "read own capabilities");
	for (int i = 0; i < 2; i++) {
		/* What our creator lacks can't be had: the others are still worth having. */
		want[i].permitted = (uint32_t)(c->permitted >> (32 * i)) & now[i].permitted;
		want[i].effective = (uint32_t)(c->effective >> (32 * i)) & want[i].permitted;
		want[i].inheritable = (uint32_t)(c->inheritable >> (32 * i));
	}
	if (syscall(SYS_capset, &head, want) < 0)
		return err_sys(e, errno, "set capabilities");
	return apply_ambient(c->ambient, e);
}
