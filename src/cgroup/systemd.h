/* The systemd driver's pure half: names, and limits as unit properties.  No system calls.
 *
 * cgroupsPath is SLICE:PREFIX:NAME: the unit PREFIX-NAME.scope in SLICE; a NAME that ends in
 * .slice is the unit itself.  Errors are in runc's words. */
#pragma once

#include "cgroup/devices.h"
#include "cgroup/resources.h"
#include "os/dbus_value.h"

struct systemd_unit {
	const char *name; /* "runc-box.scope" */
	const char *container; /* NAME, for the description */
	const char *slice; /* as the unit's Slice= names it */
	const char *dir; /* from the manager's own cgroup: "/a.slice/a-b.slice/runc-box.scope" */
	bool is_slice;
};

/* path NULL or "": runc-ID.scope.  No slice: system.slice, or user.slice of a user's instance. */
int systemd_unit_parse(struct arena *a, const char *path, const char *id, bool is_user,
		       struct systemd_unit *ret, struct err *e);

/* "a-b.slice" → "/a.slice/a-b.slice"; "-.slice" → "/". */
int systemd_expand_slice(struct arena *a, const char *slice, const char **ret, struct err *e);

/* "v252.4-1~deb12u1", "252": the number; -1 for what begins with none. */
int systemd_version(const char *text);
enum { SYSTEMD_CPU_IDLE = 252 }; /* from here on, CPUWeight 0 is cpu.idle 1 */

struct systemd_property {
	const char *name;
	struct dbus_value value;
};

struct systemd_properties {
	struct systemd_property *v;
	size_t n, cap;
};
void systemd_properties_done(struct systemd_properties *p);
#define AUTO_PROPERTIES CLEANUP(systemd_properties_done)
void systemd_add(struct systemd_properties *p, const char *name, struct dbus_value value);

/* What every unit starts with. */
void systemd_unit_properties(struct arena *a, const struct systemd_unit *u, bool v2, pid_t pid,
			     struct systemd_properties *ret);

/* org.systemd.property.NAME annotations; values as in GVariant's text form.  …Sec of a number
 * becomes …USec. */
int systemd_annotation_properties(struct arena *a, const struct oci_pairs *annotations,
				  struct systemd_properties *ret, struct err *e);
/* One such value. */
int systemd_parse_value(struct arena *a, const char *text, struct dbus_value *ret, struct err *e);

/* Limits, from the list of what is written to files, so that both say the same.  systemd keeps a
 * quota in whole percents: it is rounded up, in the plan too.  version: of the running systemd,
 * which does not know all of them before 252. */
int systemd_resource_properties(struct arena *a, struct cgroup_plan *plan, bool v2, int version,
				struct systemd_properties *ret, struct err *e);
/* Only when it starts: memory.oom.group as OOMPolicy. */
void systemd_start_properties(const struct cgroup_plan *plan, struct systemd_properties *ret);

/* proc_devices: the text of /proc/devices, by which systemd names all devices of one driver.
 * What systemd can't say is left to the filter that the cgroup gets besides. */
void systemd_device_properties(struct arena *a, const struct device_set *set,
			       const char *proc_devices, struct systemd_properties *ret);

/* "0-2,7" → bits, the lowest first. */
int systemd_cpu_bits(struct arena *a, const char *list, struct dbus_value *ret, struct err *e);
