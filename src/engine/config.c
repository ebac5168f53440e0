#include "engine/config.h"

#include <string.h>

bool config_plugin_is_disabled(const struct config *cfg, const char *type, const char *id)
{
	size_t n = strlen(type);

	for (size_t i = 0; i < cfg->n_disabled_plugins; i++) {
		const char *p = cfg->disabled_plugins[i];

		if (!strncmp(p, type, n) && p[n] == '.' && !strcmp(p + n + 1, id))
			return true;
	}
	return false;
}

const char *const config_proxy_types[] = {
	[CONFIG_PROXY_CONTENT] = "content",
	[CONFIG_PROXY_DIFF] = "diff",
	[CONFIG_PROXY_SANDBOX] = "sandbox",
};

const char *config_proxy(const struct config *cfg, enum config_proxy_type type, const char *name)
{
	for (size_t i = 0; i < cfg->n_services; i++)
		if (cfg->services[i].type == type && !strcmp(cfg->services[i].name, name))
			return cfg->services[i].address;
	return NULL;
}
