/* Completion: `ctr WORDS… --generate-bash-completion` prints what may come next, one a line, as
 * the original's command line library does; ids and image names come from the daemon.  The shells'
 * files in dist/completion/ ask this way, so that nothing is listed twice. */
#include "cmd/ctr/ctr.h"

#define COMPLETE_TIMEOUT_NS 2000000000ull

struct completion {
	struct ctr *ctr;
	const struct command *at;
	const char *group; /* the name of the group that `at` stands in, or "" */
	size_t n_args; /* whole arguments behind the command */
};

static void print_flags(const struct command *c)
{
	for (size_t t = 0; t < COMMAND_TABLES && c->flags[t]; t++)
		for (const struct flag *f = c->flags[t]; f->name; f++)
			if (!f->missing)
				printf("%s%s\n", strlen(f->name) > 1 ? "--" : "-", f->name);
	puts("--help");
}

static void print_containers(struct ctr *ctr)
{
	CONTAINERS(ListContainersRequest) req = CONTAINERS_INIT(LIST_CONTAINERS_REQUEST);
	CONTAINERS(ListContainersResponse) * rsp;
	struct err ignored = { 0 };

	if (CTR_CALL(ctr, "containers.v1.Containers/List", &req,
		     containers__v1__list_containers_response, &rsp, &ignored) < 0)
		return;
	for (size_t i = 0; i < rsp->n_containers; i++)
		puts(rsp->containers[i]->id);
}

static void print_tasks(struct ctr *ctr)
{
	TASKS(ListTasksRequest) req = TASKS_INIT(LIST_TASKS_REQUEST);
	struct err ignored = { 0 };
	TASKS(ListTasksResponse) * rsp;

	if (CTR_CALL(ctr, "tasks.v1.Tasks/List", &req, tasks__v1__list_tasks_response, &rsp,
		     &ignored) < 0)
		return;
	for (size_t i = 0; i < rsp->n_tasks; i++)
		puts(rsp->tasks[i]->id);
}

static void print_images(struct ctr *ctr)
{
	IMAGES(ListImagesRequest) req = IMAGES_INIT(LIST_IMAGES_REQUEST);
	IMAGES(ListImagesResponse) * rsp;
	struct err ignored = { 0 };

	if (CTR_CALL(ctr, "images.v1.Images/List", &req, images__v1__list_images_response, &rsp,
		     &ignored) < 0)
		return;
	for (size_t i = 0; i < rsp->n_images; i++)
		puts(rsp->images[i]->name);
}

static void print_namespaces(struct ctr *ctr)
{
	NAMESPACES(ListNamespacesRequest) req = NAMESPACES_INIT(LIST_NAMESPACES_REQUEST);
	NAMESPACES(ListNamespacesResponse) * rsp;
	struct err ignored = { 0 };

	if (CTR_CALL(ctr, "namespaces.v1.Namespaces/List", &req,
		     namespaces__v1__list_namespaces_response, &rsp, &ignored) < 0)
		return;
	for (size_t i = 0; i < rsp->n_namespaces; i++)
		puts(rsp->namespaces[i]->name);
}

/* What the next argument of a command is. first_only: the ones behind it are something else. */
static const struct {
	const char *group, *command;
	void (*print)(struct ctr *ctr);
	bool first_only;
} arguments[] = {
	{ "", "run", print_images, true },
	{ "", "logs", print_containers, true },
	{ "", "inspect", print_containers, true },
	{ "", "why", print_containers, true },
	{ "containers", "create", print_images, true },
	{ "containers", "delete", print_containers, false },
	{ "containers", "info", print_containers, true },
	{ "containers", "label", print_containers, true },
	{ "images", "delete", print_images, false },
	{ "images", "label", print_images, true },
	{ "images", "tag", print_images, true },
	{ "images", "pull", print_images, true },
	{ "namespaces", "remove", print_namespaces, false },
	{ "namespaces", "label", print_namespaces, true },
	{ "tasks", "start", print_containers, true },
	{ "tasks", "delete", print_tasks, false },
	{ "tasks", NULL, print_tasks, true }, /* all the others */
};

static void print_arguments(const struct completion *c)
{
	for (size_t i = 0; i < ARRAY_LEN(arguments); i++) {
		if (strcmp(arguments[i].group, c->group) != 0)
			continue;
		if (arguments[i].command && strcmp(arguments[i].command, c->at->name) != 0)
			continue;
		if (!arguments[i].first_only || c->n_args == 0)
			arguments[i].print(c->ctr);
		return;
	}
}

/* Follows the whole words; options and their values are passed over by the parser itself. */
static bool descend(struct completion *c, const char *const *words)
{
	const struct command *next;
	struct err ignored = { 0 };
	struct args args;
	bool help = false;

	if (args_parse(c->ctr->arena, c->at, words, &args, &help, &ignored) < 0)
		return false;
	if (!*c->group && !c->at->run) { /* the program's own options */
		c->ctr->address = args_string(&args, "address");
		c->ctr->ns = args_string(&args, "namespace");
	}
	while (c->at->commands && args.n) {
		next = command_find(c->at->commands, args.v[0]);
		if (!next)
			return true;
		c->group = c->at->run || !strcmp(c->at->name, "ctr") ? "" : c->at->name;
		c->at = next;
		if (args_parse(c->ctr->arena, next, args.v + 1, &args, &help, &ignored) < 0)
			return false;
	}
	c->n_args = args.n;
	return true;
}

/* "-", "--" and everything that does not parse is an option that is being typed. */
static bool is_typed(const char *word)
{
	return !strcmp(word, "-") || !strcmp(word, "--");
}

int complete_run(struct ctr *ctr, const struct command *app, const char *const *words, size_t n)
{
	struct completion c = { .ctr = ctr, .at = app, .group = "" };
	const char **whole = arena_array(ctr->arena, n + 1, sizeof *whole);
	const char *last = n ? words[n - 1] : "";

	for (size_t i = 0; i < n; i++)
		whole[i] = words[i];
	ctr->timeout_ns = COMPLETE_TIMEOUT_NS;
	if (*last == '-' && (is_typed(last) || !descend(&c, whole))) {
		whole[n - 1] = NULL;
		c = (struct completion){ .ctr = ctr, .at = app, .group = "" };
		descend(&c, whole);
		print_flags(c.at);
		return 0;
	}
	if (*last != '-')
		descend(&c, whole);
	for (const struct command *s = c.at->commands; s && s->name; s++)
		puts(s->name);
	if (!c.at->commands)
		print_arguments(&c);
	return 0;
}
