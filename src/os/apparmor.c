#include "os/apparmor.h"

#include "base/mem.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PROFILES "/sys/kernel/security/apparmor/profiles"
#define ENABLED "/sys/module/apparmor/parameters/enabled"
#define FOLDER "/etc/apparmor.d"
enum { PROFILES_MAX = 16 << 20, PROFILE_MAX = 64 << 10, ANSWER_MAX = 4096 };

/* --- the text --- */

static bool has_file(const char *folder, const char *name)
{
	AUTO_FREE char *path = xasprintf("%s/%s", folder, name);

	return access(path, F_OK) == 0;
}

/* AppArmor has no "all but": this denies what begins with `before` and goes on otherwise than
 * `kept` does, a letter of it after the other.  `behind` follows the name that differs. */
static void deny_all_but(struct str *out, const char *before, const char *kept, const char *behind,
			 const char *access)
{
	for (size_t i = 0; kept[i]; i++) {
		if (kept[i] == '/')
			continue;
		str_addf(out, "  deny %s%.*s[^%c]*%s %s,\n", before, (int)i, kept, kept[i], behind,
			 access);
	}
}

static void add_head(struct str *out, const char *name, const char *folder)
{
	if (has_file(folder, "abi/3.0"))
		str_add(out, "abi <abi/3.0>,\n");
	str_add(out, has_file(folder, "tunables/global") ? "#include <tunables/global>\n"
							 : "@{PROC}=/proc/\n");
	str_addf(out, "profile %s flags=(attach_disconnected,mediate_deleted) {\n", name);
	if (has_file(folder, "abstractions/base"))
		str_add(out, "  #include <abstractions/base>\n");
}

/* Below the container's limits in capabilities, seccomp and mounts, all but the kernel's own knobs.
 */
static void add_rules(struct str *out, const char *name, const char *daemon)
{
	const char *const senders[] = { "unconfined", "runc", "crun", daemon };

	str_add(out, "  capability,\n  network,\n  file,\n  umount,\n  deny mount,\n");
	for (size_t i = 0; i < ARRAY_LEN(senders); i++)
		if (i < 3 || strcmp(daemon, "unconfined") != 0)
			str_addf(out, "  signal (receive) peer=%s,\n", senders[i]);
	str_addf(out, "  signal (send, receive) peer=%s,\n", name);
	str_addf(out, "  ptrace (trace, tracedby, read, readby) peer=%s,\n", name);
}

static void add_denials(struct str *out)
{
	static const char *const secrets[] = { "kcore", "kmem", "mem", "sysrq-trigger" };
	static const char *const trees[] = { "firmware", "devices/virtual/powercap",
					     "kernel/security" };

	/* Of /proc processes have folders of their own; of /proc/sys kernel/shm* is the
	 * container's. */
	str_add(out, "  deny @{PROC}/* w,\n  deny @{PROC}/[^1-9s]*/** w,\n");
	deny_all_but(out, "@{PROC}/s", "ys", "/**", "w");
	str_add(out, "  deny @{PROC}/sys?*/** w,\n  deny @{PROC}/sys/[^k]** w,\n");
	deny_all_but(out, "@{PROC}/sys/kernel/", "shm", "*", "w");
	for (size_t i = 0; i < ARRAY_LEN(secrets); i++)
		str_addf(out, "  deny @{PROC}/%s rwklx,\n", secrets[i]);
	deny_all_but(out, "/sys/", "fs/cgroup", "/**", "wklx");
	for (size_t i = 0; i < ARRAY_LEN(trees); i++)
		str_addf(out, "  deny /sys/%s/** rwklx,\n", trees[i]);
}

void apparmor_profile(struct str *out, const char *name, const char *daemon, const char *folder)
{
	add_head(out, name, folder);
	add_rules(out, name, daemon);
	add_denials(out);
	str_add(out, "}\n");
}

/* --- the kernel --- */

static int is_loaded(const char *name, bool *ret, struct err *e)
{
	AUTO_FREE char *text = NULL;
	size_t n = strlen(name);
	int r = file_read(AT_FDCWD, PROFILES, PROFILES_MAX, &text, NULL);

	if (r < 0)
		return err_sys(e, -r, "open " PROFILES);
	*ret = false;
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
		if (!strncmp(line, name, n) && line[n] == ' ')
			*ret = true;
	return 0;
}

/* The profile that we are under, without its mode: "unconfined" where there is none. */
static void own_profile(char *ret, size_t n)
{
	AUTO_FREE char *text = NULL;

	if (file_read(AT_FDCWD, "/proc/self/attr/current", 4096, &text, NULL) == 0)
		text[strcspn(text, " \n")] = 0;
	snprintf(ret, n, "%s", text && *text ? text : "unconfined");
}

static int run_parser(int fd, struct err *e)
{
	AUTO_FREE char *parser = spawn_find("apparmor_parser");
	char *argv[] = { (char *)"apparmor_parser", (char *)"-Kr", (char *)"/proc/self/fd/0",
			 NULL };
	AUTO_FD int in = -1, out = -1, pidfd = -1;
	AUTO_FREE char *said = NULL;
	int pipe_fds[2], status;
	pid_t pid;

	if (!parser)
		return err_set(e, ERR_NOT_FOUND,
			       "exec: \"apparmor_parser\": executable file not found in $PATH");
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	in = pipe_fds[0];
	out = pipe_fds[1];

	const int fds[] = { fd, out, out };
	const struct spawn s = {
		.path = parser, .argv = argv, .envp = environ, .cwd_fd = -1, .fds = fds, .n_fds = 3
	};
	int r = spawn_start(&s, &pidfd, &pid);

	if (r < 0)
		return err_sys(e, -r, "exec %s", parser);
	close_fd(&out);
	r = file_read_fd(in, ANSWER_MAX, &said, NULL);
	if (spawn_wait(pidfd, -1, &status) < 0 || status == 0)
		return 0;
	if (r == 0)
		said[strcspn(said, "\n")] = 0;
	return err_set(e, ERR_UNKNOWN, "parser error(\"%.300s\"): exit status %d",
		       r == 0 ? said : "", status);
}

bool apparmor_is_usable(void)
{
	AUTO_FREE char *text = NULL, *parser = NULL;

	/* In a container AppArmor is the host's, and the names are, too. */
	const char *container = getenv("container");

	if (container && *container)
		return false;
	if (file_read(AT_FDCWD, ENABLED, 16, &text, NULL) < 0 || *text != 'Y' ||
	    access(PROFILES, R_OK) < 0)
		return false;
	parser = spawn_find("apparmor_parser");
	return parser != NULL;
}

int apparmor_load_default(const char *name, struct err *e)
{
	AUTO_STR struct str text = STR_INIT(PROFILE_MAX);
	AUTO_FD int fd = -1;
	char daemon[256];
	bool loaded;

	if (strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
		    strlen(name) ||
	    *name == '-')
		return err_set(e, ERR_INVALID_ARGUMENT, "\"%.100s\" is no name of a profile", name);
	if (is_loaded(name, &loaded, e) < 0)
		return -1;
	if (loaded)
		return 0;
	own_profile(daemon, sizeof daemon);
	apparmor_profile(&text, name, daemon, FOLDER);
	fd = memfd_create("profile", MFD_CLOEXEC);
	int r = fd < 0 ? -errno : fd_write_all(fd, text.ptr, text.len);

	if (r < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(e, r < 0 ? -r : errno, "write the profile");
	if (run_parser(fd, e) < 0)
		return err_wrap(e, "load apparmor profile %s", name);
	return 0;
}
