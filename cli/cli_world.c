/* SPDX-License-Identifier: Apache-2.0 */
#include "cli_world.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "docsource.h"
#include "fs.h"
#include "own.h"
#include "policy_files.h"

#define WORLD_MAX (64u << 20)

int cli_world_text(void *arg, char **text, size_t *len, struct pk_err *err)
{
	own_json *doc = NULL;
	struct pk_str s = { 0 };
	struct pk_jw w = { .out = &s };
	int r = cli_api(arg, "/v1/world?others=1", &doc, err);

	if (r < 0)
		return r;
	pk_jw_value(&w, NULL, pk_json_root(doc));
	*len = s.len;
	*text = pk_str_take(&s);
	return *text ? 0 : pk_fail(err, ENOMEM, "the node's world");
}

void cli_notes(const struct pk_str *said, struct pk_err *err)
{
	char *fix;

	if (!said->len)
		return;
	fputs(said->text, stderr);
	if (!err || !err->text[0])
		return;
	/* The first error of a document stands among its notes already, with its fix. */
	fix = strstr(err->text, "; fix: ");
	if (fix)
		*fix = '\0';
	if (strstr(said->text, err->text))
		*err = (struct pk_err){ .text = "a document is refused: see above" };
	else if (fix)
		*fix = ';';
}

void cli_world_done(struct cli_world *world)
{
	free(world->text);
}

int cli_world_read(const struct cli *cli, struct cli_world *world, struct pk_err *err)
{
	*world = (struct cli_world){ .path = cli_get(cli, "world") };
	if (!world->path)
		return cli_world_text((void *)cli, &world->text, &world->len, err);
	return cli_file_fix(err,
			    pk_fs_read(world->path, WORLD_MAX, &world->text, &world->len, err));
}

int cli_world_case(struct cli_world *world, struct pk_scenario **out, struct pk_err *err)
{
	own_str said = { 0 };
	int r = world->path
			? pk_scenario_read(world->path, world->text, world->len, out, &said, err)
			: pk_scenario_live(world->text, world->len, out, &said, err);

	if (world->path && !world->said)
		cli_notes(&said, err);
	world->said = true;
	if (r == 0 && !(*out)->has_endpoints) {
		pk_fail(err, 0, "%s has no endpoints", world->path ? world->path : "the node");
		r = pk_fix(err, -EINVAL, "give a file with \"endpoints\" by -world");
		pk_scenario_free(PK_MOVE(*out, NULL));
	}
	return r;
}

int cli_world(const struct cli *cli, struct pk_scenario **out, struct pk_err *err)
{
	own_world world = { 0 };
	int r = cli_world_read(cli, &world, err);

	return r < 0 ? r : cli_world_case(&world, out, err);
}

int cli_source(const struct cli *cli, struct pk_scenario *c, struct pk_err *err)
{
	const char *as = cli_get(cli, "as");

	if (as && strcmp(as, PK_SOURCE_FILE) && !pk_source_is_operators(as) &&
	    (!pk_source_is_shared(as) || !*(pk_source_namespace(as) ?: "")))
		return pk_fix(err, pk_fail(err, 0, "-as \"%.100s\" is no source", as),
			      "file, consul/operator, consul/tenant/NAMESPACE; nomad/operator, "
			      "nomad/tenant/NAMESPACE");
	c->file_source = as;
	return 0;
}

void cli_endpoint_name(const char *key, struct pk_str *out)
{
	const char *space = strrchr(key, ' '), *at = space ? strchr(space, '@') : NULL;
	const char *id = space ? strrchr(space, '/') ?: space : NULL;
	size_t n = at && at - id > 9 ? (size_t)(id - key) + 9 : strlen(key);
	own_mem char *name = strndup(key, n);

	if (!name)
		abort();
	pk_str_add_escaped(out, name);
}

int cli_live_open(const struct cli *cli, struct pk_bpf **bpf, struct pk_live **live,
		  struct pk_err *err)
{
	int r = pk_bpf_open(bpf, &cli->paths, PK_BPF_READ, NULL, pk_now_ns() + 2000000000ull, err);

	return r < 0 ? r : pk_live_open(live, *bpf, err);
}

static int take_flow(void *arg, const struct pk_flow_key *key, const struct pk_flow *flow)
{
	struct cli_flows *to = arg;
	bool stack = flow->flags & PK_FLOW_STACK;
	uint16_t port = ntohs(key->dport);

	if (key->proto == IPPROTO_ICMP)
		port = PK_PORT_ICMP(8, 0);
	else if (key->proto == IPPROTO_ICMPV6)
		port = PK_PORT_ICMP(128, 0);
	if (to->n == to->room) {
		to->room = to->room ? 2 * to->room : 1024;
		to->list = reallocarray(to->list, to->room, sizeof(*to->list));
		if (!to->list)
			abort();
	}
	to->list[to->n++] = (struct pk_plan_flow){
		.addr = { key->src, key->dst },
		.host = { stack && !flow->slot[0], stack && !flow->slot[1] },
		.proto = key->proto,
		.port = port,
	};
	return 0;
}

int cli_flows_live(const struct pk_live *live, struct cli_flows *out, struct pk_err *err)
{
	return pk_live_flows(live, take_flow, out, err);
}

static int by_flow(const void *a, const void *b)
{
	return pk_plan_flow_cmp(a, b);
}

void cli_flows_unique(struct cli_flows *flows)
{
	size_t kept = 0;

	if (flows->n)
		qsort(flows->list, flows->n, sizeof(*flows->list), by_flow);
	for (size_t i = 0; i < flows->n; i++)
		if (!kept || pk_plan_flow_cmp(&flows->list[kept - 1], &flows->list[i]) != 0)
			flows->list[kept++] = flows->list[i];
	flows->n = kept;
}

void cli_flows_done(struct cli_flows *flows)
{
	free(flows->list);
}
