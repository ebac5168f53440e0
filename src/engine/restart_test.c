#include "engine/restart.h"

#include "base/test.h"
#include "store/label.h"

static bool wanted(const char *policy, const char *count, const char *stopped, uint32_t status)
{
	struct label v[] = { { "containerd.io/restart.policy", policy },
			     { "containerd.io/restart.count", count },
			     { "containerd.io/restart.explicitly-stopped", stopped } };
	const struct labels l = { v, 3 };

	return restart_is_wanted(&l, status);
}

TEST(policies)
{
	static const struct {
		const char *policy, *count, *stopped;
		uint32_t status;
		bool want;
	} cases[] = {
		{ "", "", "", 0, true },
		{ "always", "99", "true", 0, true },
		{ "no", "", "", 1, false },
		{ "nonsense", "", "", 1, false },
		{ "on-failure", "", "", 1, true },
		{ "on-failure", "", "", 0, false },
		{ "on-failure:3", "2", "", 1, true },
		{ "on-failure:3", "3", "", 1, false },
		{ "on-failure:x", "", "", 1, false },
		{ "on-failures", "", "", 1, false },
		{ "on-failure:3", "x", "", 1, false },
		{ "unless-stopped", "", "", 0, true },
		{ "unless-stopped", "", "true", 1, false },
		{ "unless-stopped", "", "false", 1, true },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (wanted(cases[i].policy, cases[i].count, cases[i].stopped, cases[i].status) !=
		    cases[i].want)
			FAIL_("case %zu: %s", i, cases[i].policy);
}
