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
		ctr_puts(ctr, rsp->containers[i]->id);
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
		ctr_puts(ctr, rsp->tasks[i]->id);
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
		ctr_puts(ctr, rsp->images[i]->name);
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
		ctr_puts(ctr, rsp->namespaces[i]->name);
}

static void print_leases(struct ctr *ctr)
{
	LEASES(ListRequest) req = LEASES_INIT(LIST_REQUEST);
	struct err ignored = { 0 };
	LEASES(ListResponse) * rsp;

	if (CTR_CALL(ctr, "leases.v1.Leases/List", &req, leases__v1__list_response, &rsp,
		     &ignored) < 0)
		return;
	for (size_t i = 0; i < rsp->n_leases; i++)
		ctr_puts(ctr, rsp->leases[i]->id);
}

static void print_blobs(struct ctr *ctr)
{
	CONTENT(ListContentRequest) req = CONTENT_INIT(LIST_CONTENT_REQUEST);
	struct grpc_stream *s AUTO_GRPC_STREAM = NULL;
	CONTENT(ListContentResponse) * rsp;
	struct err ignored = { 0 };

	if (ctr_open(ctr, "content.v1.Content/List", &req,
		     &containerd__services__content__v1__list_content_response__descriptor, &s,
		     &ignored) < 0)
		return;
	while (grpc_stream_recv(s, ctr->arena, (void **)&rsp, &ignored) > 0)
		for (size_t i = 0; i < rsp->n_info; i++)
			ctr_puts(ctr, rsp->info[i]->digest);
}

enum { ALL = 255 };

/* What the arguments of a command are, from one place to another: the others are something else. */
static const struct {
	const char *group, *command;
	void (*print)(struct ctr *ctr);
	unsigned char from, to;
} arguments[] = {
	{ "", "run", print_images, 0, 0 },
	{ "", "logs", print_containers, 0, 0 },
	{ "", "inspect", print_containers, 0, 0 },
	{ "", "why", print_containers, 0, 0 },
	{ "", "install", print_images, 0, 0 },
	{ "containers", "create", print_images, 0, 0 },
	{ "containers", "delete", print_containers, 0, ALL },
	{ "containers", "info", print_containers, 0, 0 },
	{ "containers", "label", print_containers, 0, 0 },
	{ "content", "delete", print_blobs, 0, ALL },
	{ "content", "edit", print_blobs, 0, 0 },
	{ "content", "fetch", print_images, 0, 0 },
	{ "content", "fetch-blob", print_images, 0, 0 },
	{ "content", "fetch-object", print_images, 0, 0 },
	{ "content", "get", print_blobs, 0, ALL },
	{ "content", "label", print_blobs, 0, 0 },
	{ "content", "push-object", print_blobs, 1, 1 },
	{ "images", "convert", print_images, 0, 0 },
	{ "images", "delete", print_images, 0, ALL },
	{ "images", "export", print_images, 1, ALL },
	{ "images", "inspect", print_images, 0, 0 },
	{ "images", "label", print_images, 0, 0 },
	{ "images", "mount", print_images, 0, 0 },
	{ "images", "pull", print_images, 0, 0 },
	{ "images", "push", print_images, 0, 1 },
	{ "images", "tag", print_images, 0, 0 },
	{ "images", "usage", print_images, 0, 0 },
	{ "leases", "delete", print_leases, 0, ALL },
	{ "namespaces", "remove", print_namespaces, 0, ALL },
	{ "namespaces", "label", print_namespaces, 0, 0 },
	{ "tasks", "start", print_containers, 0, 0 },
	{ "tasks", "delete", print_tasks, 0, ALL },
	{ "tasks", NULL, print_tasks, 0, 0 }, /* all the others */
};

static void print_arguments(const struct completion *c)
{
	for (size_t i = 0; i < ARRAY_LEN(arguments); i++) {
		if (strcmp(arguments[i].group, c->group) != 0)
			continue;
		if (arguments[i].command && strcmp(arguments[i].command, c->at->name) != 0)
			continue;
		if (c->n_args >= arguments[i].from && c->n_args <= arguments[i].to)
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
