/* What may become a part of a path or an argument of a plugin: libcni's own rules. */
#include "net/cni.h"

#include <net/if.h>
#include <string.h>

enum { NAME_MAX_LEN = 255 };

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* [a-zA-Z0-9][a-zA-Z0-9_.-]* */
static bool is_name(const char *s)
{
	if (!is_alnum(*s) || strlen(s) > NAME_MAX_LEN)
		return false;
	for (; *s; s++)
		if (!is_alnum(*s) && !strchr("_.-", *s))
			return false;
	return true;
}

int cni_check_container(const char *id, struct err *e)
{
	if (!*id)
		return err_set(e, ERR_INVALID_ARGUMENT, "missing containerID");
	if (!is_name(id))
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid characters in containerID: %.300s",
			       id);
	return 0;
}

int cni_check_network(const char *name, struct err *e)
{
	if (!*name)
		return err_set(e, ERR_INVALID_ARGUMENT, "missing network name");
	if (!is_name(name))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "invalid characters found in network name: %.300s", name);
	return 0;
}

int cni_check_ifname(const char *name, struct err *e)
{
	if (!*name)
		return err_set(e, ERR_INVALID_ARGUMENT, "interface name is empty");
	if (strlen(name) >= IFNAMSIZ)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "interface name is too long: interface name should be less than %d "
			       "characters",
			       IFNAMSIZ);
	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return err_set(e, ERR_INVALID_ARGUMENT, "interface name is . or ..");
	for (const char *p = name; *p; p++)
		if (*p == '/' || *p == ':' || (unsigned char)*p <= ' ' || *p == 0x7f)
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "interface name contains / or : or whitespace characters: "
				       "%.20s",
				       name);
	return 0;
}
