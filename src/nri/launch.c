/* Plugins of the folder: programs named INDEX-NAME, started with their connection as fd 3. */
#include "nri/plugin.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/spawn.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { CONFIG_MAX = 1 << 20, PLUGINS_MAX = 64 };

static int is_plugin(const struct dirent *d)
{
	const char *s = d->d_name;

	return isdigit((unsigned char)s[0]) && isdigit((unsigned char)s[1]) && s[2] == '-' &&
	       s[3] && strlen(s) < 68;
}

/* For this very name, or for the plugin whatever its index is; NULL: it has none. */
static char *read_config(const struct nri *n, const char *name)
{
	const char *const names[] = { name, name + 3 };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		AUTO_FREE char *path = xasprintf("%s/%s.conf", n->env->plugin_config, names[i]);
		char *text = NULL;
		int r = file_read(AT_FDCWD, path, CONFIG_MAX, &text, NULL);

		if (r == 0)
			return text;
		if (r != -ENOENT)
			log_warn(LOG({ "file", path }, { "error", err_errno_text(-r) }),
				 "cannot read an NRI plugin's configuration");
	}
	return NULL;
}

/* On the loop's thread, which lives as long as the daemon: the plugin dies with it. */
static int start(const char *path, const char *idx, const char *base, int *ret_fd, int *ret_pidfd)
{
	AUTO_FREE char *name_env = xasprintf("NRI_PLUGIN_NAME=%s", base);
	AUTO_FREE char *idx_env = xasprintf("NRI_PLUGIN_IDX=%s", idx);
	char *const argv[] = { (char *)path, NULL };
	char *const envp[] = { name_env, idx_env, (char *)"NRI_PLUGIN_SOCKET=3", NULL };
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	AUTO_FD int ours = pair[0], theirs = pair[1];
	const int fds[] = { -1, -1, -1, theirs };
	const struct spawn s = { .path = path,
				 .argv = argv,
				 .envp = envp,
				 .cwd_fd = -1,
				 .fds = fds,
				 .n_fds = ARRAY_LEN(fds),
				 .new_group = true,
				 .parent_death_signal = SIGKILL };
	int r = fd_set_nonblock(ours, true);

	if (r == 0)
		r = spawn_start(&s, ret_pidfd, &pid);
	if (r == 0)
		*ret_fd = TAKE_FD(ours);
	return r;
}

static void launch(struct nri *n, const char *name)
{
	AUTO_FREE char *path = xasprintf("%s/%s", n->env->plugins, name);
	AUTO_FREE char *idx = xstrndup(name, 2);
	AUTO_FREE char *config = NULL;
	struct stat st;
	int fd = -1, pidfd = -1;

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || !(st.st_mode & 0111))
		return;
	config = read_config(n, name);
	int r = start(path, idx, name + 3, &fd, &pidfd);

	if (r < 0)
		log_warn(LOG({ "plugin", name }, { "error", err_errno_text(-r) }),
			 "failed to start pre-installed NRI plugin");
	else
		(void)plugin_new(n, fd, idx, name + 3, config, pidfd); /* NULL has cleaned up */
}

void plugins_launch(struct nri *n)
{
	struct dirent **v = NULL;
	int count = scandir(n->env->plugins, &v, is_plugin, alphasort);

	for (int i = 0; i < count; i++) {
		if (i < PLUGINS_MAX)
			launch(n, v[i]->d_name);
		free(v[i]);
	}
	free(v);
}
