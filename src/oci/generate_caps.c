/* The capabilities and the environment of a generated spec. */
#include "oci/generate.h"

#include <ctype.h>
#include <strings.h>

/* By number; the kernel's names without CAP_. */
static const char *const names[] = {
	"CHOWN",
	"DAC_OVERRIDE",
	"DAC_READ_SEARCH",
	"FOWNER",
	"FSETID",
	"KILL",
	"SETGID",
	"SETUID",
	"SETPCAP",
	"LINUX_IMMUTABLE",
	"NET_BIND_SERVICE",
	"NET_BROADCAST",
	"NET_ADMIN",
	"NET_RAW",
	"IPC_LOCK",
	"IPC_OWNER",
	"SYS_MODULE",
	"SYS_RAWIO",
	"SYS_CHROOT",
	"SYS_PTRACE",
	"SYS_PACCT",
	"SYS_ADMIN",
	"SYS_BOOT",
	"SYS_NICE",
	"SYS_RESOURCE",
	"SYS_TIME",
	"SYS_TTY_CONFIG",
	"MKNOD",
	"LEASE",
	"AUDIT_WRITE",
	"AUDIT_CONTROL",
	"SETFCAP",
	"MAC_OVERRIDE",
	"MAC_ADMIN",
	"SYSLOG",
	"WAKE_ALARM",
	"BLOCK_SUSPEND",
	"AUDIT_READ",
	"PERFMON",
	"BPF",
	"CHECKPOINT_RESTORE",
};

/* containerd's default, in its order */
static const char *const defaults[] = {
	"CHOWN",   "DAC_OVERRIDE", "FSETID",           "FOWNER",
	"MKNOD",   "NET_RAW",      "SETGID",           "SETUID",
	"SETFCAP", "SETPCAP",      "NET_BIND_SERVICE", "SYS_CHROOT",
	"KILL",    "AUDIT_WRITE",
};

static int find(const char *name, struct err *e)
{
	const char *bare = strncasecmp(name, "CAP_", 4) ? name : name + 4;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (!strcasecmp(bare, names[i]))
			return (int)i;
	return err_set(e, ERR_INVALID_ARGUMENT, "unknown capability \"%s\"", name);
}

static void add(struct strv *l, const char *bare)
{
	char name[64];

	snprintf(name, sizeof name, "CAP_%s", bare);
	if (!strv_has(l, name))
		strv_add(l, name);
}

static int drop_named(struct strv *l, const char *name, struct err *e)
{
	int cap = find(name, e);
	size_t kept = 0;

	if (cap < 0)
		return -1;
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i] + 4, names[cap]) != 0)
			l->v[kept++] = l->v[i];
		else
			free(l->v[i]);
	l->n = kept;
	if (l->v)
		l->v[kept] = NULL;
	return 0;
}

int generate_capabilities(const struct generate *g, struct strv *ret, struct err *e)
{
	int cap;

	if (g->privileged || g->all_capabilities)
		for (size_t i = 0; i < ARRAY_LEN(names); i++)
			add(ret, names[i]);
	else
		for (size_t i = 0; !g->no_default_capabilities && i < ARRAY_LEN(defaults); i++)
			add(ret, defaults[i]);
	for (const char *const *c = g->cap_add; c && *c; c++) {
		cap = find(*c, e);
		if (cap < 0)
			return -1;
		add(ret, names[cap]);
	}
	for (const char *const *c = g->cap_drop; c && *c; c++)
		if (drop_named(ret, *c, e) < 0)
			return -1;
	return 0;
}

static size_t key_length(const char *entry)
{
	return strcspn(entry, "=");
}

static bool same_key(const char *a, const char *b)
{
	size_t n = key_length(a);

	return n == key_length(b) && !memcmp(a, b, n);
}

/* The last change that names the key of entry, or NULL. */
static const char *last_change(const char *const *changes, const char *entry)
{
	const char *found = NULL;

	for (; changes && *changes; changes++)
		if (same_key(*changes, entry))
			found = *changes;
	return found;
}

static bool is_known(const struct strv *l, const char *entry)
{
	for (size_t i = 0; i < l->n; i++)
		if (same_key(l->v[i], entry))
			return true;
	return false;
}

void generate_env(const char *const *base, const char *const *changes, struct strv *ret)
{
	const char *change;

	for (; base && *base; base++) {
		change = last_change(changes, *base);
		if (!change)
			strv_add(ret, *base);
		else if (strchr(change, '=') && !is_known(ret, change))
			strv_add(ret, change);
	}
	for (const char *const *c = changes; c && *c; c++)
		if (last_change(changes, *c) == *c && strchr(*c, '=') && !is_known(ret, *c))
			strv_add(ret, *c);
}
