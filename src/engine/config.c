#include "engine/config.h"

#include <string.h>

const char *config_snapshotter_root(const struct config *cfg, const char *name)
{
	for (size_t i = 0; i < cfg->n_snapshotters; i++)
		if (!strcmp(cfg->snapshotters[i].name, name))
			return cfg->snapshotters[i].root_path;
	return NULL;
}

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
