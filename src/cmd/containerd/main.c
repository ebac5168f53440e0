/* containerd: options, then the daemon's life (serve.c). */
#include "api/containerd/content_proxy.h"
#include "api/containerd/snapshot_proxy.h"
#include "base/log.h"
#include "cmd/containerd/config_load.h"
#include "cmd/containerd/hook.h"
#include "cmd/containerd/publish.h"
#include "cmd/containerd/serve.h"
#include "os/fd.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char help[] =
	"NAME:\n"
	"   containerd - high performance container runtime\n"
	"\n"
	"USAGE:\n"
	"   containerd [global options] command [command options]\n"
	"\n"
	"VERSION:\n"
	"   " CASCO_VERSION "\n"
	"\n"
	"COMMANDS:\n"
	"   config    Information on the containerd config: default, dump, migrate\n"
	"   publish   Binary to publish events to containerd\n"
	"   oci-hook  Provides a base for OCI runtime hooks to allow "
	"arguments to be injected.\n"
	"   help, h   Shows a list of commands or help for one command\n"
	"\n"
	"GLOBAL OPTIONS:\n"
	"   --config value, -c value     Path to the configuration file "
	"(default: \"" CONFIG_DEFAULT_FILE "\")\n"
	"   --log-level value, -l value  Set the logging level [trace, debug, "
	"info, warn, error, fatal, "
	"panic]\n"
	"   --address value, -a value    Address for containerd's GRPC server\n"
	"   --root value                 containerd root directory\n"
	"   --state value                containerd state directory\n"
	"   --help, -h                   show help\n"
	"   --version, -v                print the version\n";

/* A flag's value: "--root=x" or the next word.  NULL: it is not this flag, or has no value. */
static const char *value_of(char **argv, int *at, const char *name, const char *letter)
{
	const char *word = argv[*at];
	size_t n = strlen(name);

	if (word[0] != '-')
		return NULL;
	word += word[1] == '-' ? 2 : 1;
	if (strncmp(word, name, n) == 0 && word[n] == '=')
		return word + n + 1;
	if (strcmp(word, name) != 0 && (!letter || strcmp(word, letter) != 0))
		return NULL;
	return argv[*at + 1] ? argv[++*at] : NULL;
}

static bool is_flag(const char *word, const char *name, const char *letter)
{
	return word[0] == '-' &&
	       (strcmp(word + 1, letter) == 0 || (word[1] == '-' && strcmp(word + 2, name) == 0));
}

/* The first word that is no option, or argc; -1 after a message. */
static int read_flags(char **argv, struct config_flags *f)
{
	const struct {
		const char *name, *letter, **to;
	} flags[] = { { "config", "c", &f->file },
		      { "log-level", "l", &f->level },
		      { "address", "a", &f->address },
		      { "root", NULL, &f->root },
		      { "state", NULL, &f->state } };
	int at = 1;

	for (; argv[at] && argv[at][0] == '-'; at++) {
		const char *word = argv[at], *value = NULL;

		if (is_flag(word, "version", "v") || is_flag(word, "help", "h"))
			return at;
		for (size_t i = 0; i < ARRAY_LEN(flags) && !value; i++) {
			value = value_of(argv, &at, flags[i].name, flags[i].letter);
			if (value)
				*flags[i].to = value;
		}
		if (!value) {
			fprintf(stderr,
				"Incorrect Usage: flag provided but not defined, or without its "
				"value: %s\n\n%s",
				word, help);
			return -1;
		}
	}
	return at;
}

static int fail(const struct err *e)
{
	fprintf(stderr, "containerd: %s\n", e->msg);
	return 1;
}

static int print_config(const struct config *cfg)
{
	AUTO_STR struct str out = STR_INIT(1 << 20);

	config_print(cfg, &out);
	fputs(str_c(&out), stdout);
	return fflush(stdout) == 0 ? 0 : 1;
}

/* What the file says, imports left alone, in the newest version of the format. */
static int migrate_command(const struct config_flags *flags, struct err *e)
{
	AUTO_STR struct str out = STR_INIT(4 << 20);

	if (config_migrate(flags->file ?: CONFIG_DEFAULT_FILE, &out, e) < 0)
		return fail(e);
	fputs(str_c(&out), stdout);
	return fflush(stdout) == 0 ? 0 : 1;
}

/* `config default` must not see the administrator's file. */
static int config_command(const char *which, const struct config_flags *given, struct err *e)
{
	struct config_flags flags = *given;
	struct config cfg;

	if (which && strcmp(which, "default") == 0)
		flags = (struct config_flags){ .file = "/dev/null" };
	else if (which && strcmp(which, "migrate") == 0)
		return migrate_command(given, e);
	else if (!which || strcmp(which, "dump") != 0) {
		fprintf(stderr, "usage: containerd config default|dump|migrate\n");
		return 2;
	}
	int r = config_load(&flags, &cfg, e) < 0 ? fail(e) : print_config(&cfg);
	arena_free(cfg.arena);
	return r;
}

static int daemon_command(const struct config_flags *flags, struct err *e)
{
	struct config cfg;
	int r = config_load(flags, &cfg, e);

	if (r == 0) {
		log_setup(2, cfg.format, cfg.level);
		umask(077);
		for (size_t i = 0; i < cfg.n_proxies; i++)
			cfg.proxies[i].remote = &snapshot_proxy_remote;
		cfg.content.remote = &content_proxy_remote;
		r = serve(&cfg, e);
	}
	arena_free(cfg.arena);
	return r < 0 ? fail(e) : 0;
}

static int publish_command(char **argv, const struct config_flags *flags, struct err *e)
{
	const char *ns = "", *topic = "", *address = flags->address;

	for (int at = 0; argv[at]; at++) {
		const char *v = value_of(argv, &at, "namespace", NULL);

		if (v)
			ns = v;
		else if ((v = value_of(argv, &at, "topic", NULL)))
			topic = v;
		else {
			fprintf(stderr, "usage: containerd publish --namespace NAME --topic TOPIC "
					"< EVENT\n");
			return 2;
		}
	}
	if (!address)
		address = "/run/containerd/containerd.sock";
	if (str_starts(address, "unix://"))
		address += 7;
	return publish_event(address, ns, topic, e) < 0 ? fail(e) : 0;
}

static int hook_command(char **argv, struct err *e)
{
	if (argv[0] && strcmp(argv[0], "--") == 0)
		argv++;
	if (!argv[0]) {
		fprintf(stderr, "usage: containerd oci-hook -- COMMAND [ARG...] < STATE\n");
		return 2;
	}
	return hook_exec((const char *const *)argv, e) < 0 ? fail(e) : 0;
}

int main(int argc, char **argv)
{
	struct config_flags flags = { 0 };
	struct err e = { 0 };

	(void)argc;
	if (fd_fill_std() < 0)
		return 1;
	int at = read_flags(argv, &flags);
	if (at < 0)
		return 1;
	const char *command = argv[at];
	if (!command)
		return daemon_command(&flags, &e);
	if (is_flag(command, "version", "v")) {
		printf("containerd github.com/containerd/containerd/v2 2.3.0+casco-%s\n",
		       CASCO_VERSION);
		return 0;
	}
	if (is_flag(command, "help", "h") || strcmp(command, "help") == 0 ||
	    strcmp(command, "h") == 0) {
		fputs(help, stdout);
		return 0;
	}
	if (strcmp(command, "config") == 0)
		return config_command(argv[at + 1], &flags, &e);
	if (strcmp(command, "publish") == 0)
		return publish_command(argv + at + 1, &flags, &e);
	if (strcmp(command, "oci-hook") == 0)
		return hook_command(argv + at + 1, &e);
	fprintf(stderr, "containerd: %s is not a command of this version; see containerd --help\n",
		command);
	return 1;
}
