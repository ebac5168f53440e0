/* runc spec: a first config.json. */
#include "cmd/runc/cli.h"

#include "cgroup/cgroup.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define O(field) offsetof(struct options, field)

static const struct option spec_options[] = {
	{ "bundle", "b", OPTION_STRING, O(bundle), "path to the root of the bundle directory" },
	{ "rootless", NULL, OPTION_BOOL, O(rootless),
	  "generate a configuration for a rootless container" },
	{ NULL },
};

/* What runc 1.3 writes, with ' for ".  Where the rootless one differs: two texts to choose from. */
#define CAPS "['CAP_AUDIT_WRITE','CAP_KILL','CAP_NET_BIND_SERVICE']"

static const char process_part[] =
	"{'ociVersion':'1.2.1','process':{'terminal':true,'user':{'uid':0,'gid':0},"
	"'args':['sh'],'env':['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',"
	"'TERM=xterm'],'cwd':'/','capabilities':{'bounding':" CAPS ",'effective':" CAPS
	",'permitted':" CAPS "},"
	"'rlimits':[{'type':'RLIMIT_NOFILE','hard':1024,'soft':1024}],'noNewPrivileges':true},"
	"'root':{'path':'rootfs','readonly':true},'hostname':'runc','mounts':["
	"{'destination':'/proc','type':'proc','source':'proc'},"
	"{'destination':'/dev','type':'tmpfs','source':'tmpfs',"
	"'options':['nosuid','strictatime','mode=755','size=65536k']},"
	"{'destination':'/dev/pts','type':'devpts','source':'devpts',"
	"'options':['nosuid','noexec','newinstance','ptmxmode=0666','mode=0620'";

static const char mounts_part[] =
	"]},{'destination':'/dev/shm','type':'tmpfs','source':'shm',"
	"'options':['nosuid','noexec','nodev','mode=1777','size=65536k']},"
	"{'destination':'/dev/mqueue','type':'mqueue','source':'mqueue',"
	"'options':['nosuid','noexec','nodev']},";

static const char sys_root[] = "{'destination':'/sys','type':'sysfs','source':'sysfs',"
			       "'options':['nosuid','noexec','nodev','ro']},";
static const char sys_rootless[] = "{'destination':'/sys','type':'none','source':'/sys',"
				   "'options':['rbind','nosuid','noexec','nodev','ro']},";

static const char cgroup_part[] =
	"{'destination':'/sys/fs/cgroup','type':'cgroup','source':'cgroup',"
	"'options':['nosuid','noexec','nodev','relatime','ro']}],'linux':{";

static const char linux_root[] =
	"'resources':{'devices':[{'allow':false,'access':'rwm'}]},"
	"'namespaces':[{'type':'pid'},{'type':'network'},{'type':'ipc'},{'type':'uts'},"
	"{'type':'mount'}";

static const char end_part[] =
	"],'maskedPaths':['/proc/acpi','/proc/asound','/proc/kcore','/proc/keys',"
	"'/proc/latency_stats','/proc/timer_list','/proc/timer_stats','/proc/sched_debug',"
	"'/sys/firmware','/proc/scsi'],"
	"'readonlyPaths':['/proc/bus','/proc/fs','/proc/irq','/proc/sys','/proc/sysrq-trigger']}}";

static void new_line(struct str *out, int depth)
{
	str_addc(out, '\n');
	for (int i = 0; i < depth; i++)
		str_addc(out, '\t');
}

/* Go's MarshalIndent with tabs.  Our own text: no escapes, no empty lists. */
static void print_pretty(const char *text, struct str *out)
{
	bool quoted = false;
	int depth = 0;

	for (; *text; text++) {
		if (*text == '\'') {
			quoted = !quoted;
			str_addc(out, '"');
		} else if (quoted) {
			str_addc(out, *text);
		} else if (*text == '{' || *text == '[') {
			str_addc(out, *text);
			new_line(out, ++depth);
		} else if (*text == '}' || *text == ']') {
			new_line(out, --depth);
			str_addc(out, *text);
		} else if (*text == ',') {
			str_addc(out, *text);
			new_line(out, depth);
		} else if (*text == ':') {
			str_add(out, ": ");
		} else {
			str_addc(out, *text);
		}
	}
}

static void add_rootless(struct str *s, const char *cgroup_ns)
{
	str_addf(s,
		 "'uidMappings':[{'containerID':0,'hostID':%u,'size':1}],"
		 "'gidMappings':[{'containerID':0,'hostID':%u,'size':1}],"
		 "'namespaces':[{'type':'pid'},{'type':'ipc'},{'type':'uts'},{'type':'mount'}%s,"
		 "{'type':'user'}",
		 geteuid(), getegid(), cgroup_ns);
}

static int run_spec(struct invocation *in, struct err *e)
{
	AUTO_STR struct str text = STR_INIT(1 << 16), out = STR_INIT(1 << 16);
	bool rootless = in->o.rootless;
	static const char path[] = "config.json";
	enum cgroup_layout layout;
	struct err none = { 0 };

	if (in->o.bundle && *in->o.bundle && chdir(in->o.bundle) < 0)
		return err_sys(e, errno, "chdir %s", in->o.bundle);
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0 && errno == EEXIST)
		return err_set(e, ERR_ALREADY_EXISTS, "File config.json exists. Remove it first");
	if (fd < 0)
		return err_sys(e, errno, "open %s", path);
	/* On v2 a mount of cgroups is of all of them, but for the view of a namespace. */
	bool is_v2 = cgroup_layout_detect(&layout, &none) == 0 && layout == CGROUP_V2;
	const char *cgroup_ns = is_v2 ? ",{'type':'cgroup'}" : "";
	str_add(&text, process_part);
	str_add(&text, rootless ? "" : ",'gid=5'");
	str_add(&text, mounts_part);
	str_add(&text, rootless ? sys_rootless : sys_root);
	str_add(&text, cgroup_part);
	if (rootless)
		add_rootless(&text, cgroup_ns);
	else
		str_addf(&text, "%s%s", linux_root, cgroup_ns);
	str_add(&text, end_part);
	print_pretty(str_c(&text), &out);
	int r = fd_write_all(fd, str_c(&out), out.len);
	if (r < 0)
		return err_sys(e, -r, "write %s", path);
	return 0;
}

const struct command command_spec = {
	.name = "spec",
	.usage = "[arguments...]",
	.summary = "create a new specification file",
	.description =
		"   Writes a starter config.json into the bundle (the current folder). It\n"
		"runs \"sh\" in the root file system \"rootfs\" beside it; edit args to run\n"
		"something else.",
	.options = spec_options,
	.min_args = 0,
	.max_args = 0,
	.run = run_spec,
};
