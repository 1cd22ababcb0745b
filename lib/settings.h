/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a node lives by, as picketd makes it effective and node.json tells the plugin (design.md,
 * "Settings"); the conflist fills in for what node.json lacks. Shared by controller, plugin, CLI
 * and the policy engine.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "err.h"
#include "str.h"

struct pk_json;
struct pk_json_doc;
struct pk_jw;

enum pk_baseline { PK_BASELINE_TENANT, PK_BASELINE_DENY, PK_BASELINE_OPEN };

struct pk_settings {
	enum pk_baseline baseline;
	/* A file said so; false: node.json leaves it out, and the conflist's word counts at ADD. */
	bool baseline_given, pools_given, resolvers_given;
	bool has_nomad; /* false: "nomad": null, job and group are believed */
	bool health_checks;
	bool masquerade;
	struct pk_prefix *pools; /* the cluster's endpoint prefixes */
	size_t n_pools;
	union pk_addr *resolvers;
	size_t n_resolvers;
	bool resolver_host;	 /* "host" among the resolvers, or an address of the node */
	struct pk_prefix *reach; /* tenantReach: prefixes */
	size_t n_reach;
	bool reach_host, reach_remote_node;
	uint32_t capacity; /* endpoints */
	uint32_t flow_budget, new_flows_per_s;
	char region[64], node[128], node_pool[64],
		datacenter[64]; /* labels of this node, "" = unknown */
};

void pk_settings_init(struct pk_settings *s); /* the defaults of docs/install.md */
void pk_settings_done(struct pk_settings *s);
/* node.json -> settings; keys that are absent keep what s has. Unknown keys are refused. */
int pk_settings_read(struct pk_settings *s, const char *path, struct pk_err *err);
void pk_settings_json(const struct pk_settings *s, struct pk_str *out);
/*
 * One key of an object each, for the files that share it (node.json, picketd.json): absent or null
 * keeps what s has, anything wrong is an error with its path and leaves s as it was.
 * Sizes are "capacity" and "limits".
 */
int pk_settings_get_baseline(struct pk_settings *s, const struct pk_json_doc *doc,
			     const struct pk_json *object, struct pk_err *err);
int pk_settings_get_pools(struct pk_settings *s, const struct pk_json_doc *doc,
			  const struct pk_json *object, struct pk_err *err);
int pk_settings_get_resolvers(struct pk_settings *s, const struct pk_json_doc *doc,
			      const struct pk_json *object, struct pk_err *err);
int pk_settings_get_reach(struct pk_settings *s, const struct pk_json_doc *doc,
			  const struct pk_json *object, struct pk_err *err);
int pk_settings_get_sizes(struct pk_settings *s, const struct pk_json_doc *doc,
			  const struct pk_json *object, struct pk_err *err);
/* The three lists as an array under key (NULL: none, w stands where a value may). */
void pk_settings_write_pools(const struct pk_settings *s, struct pk_jw *w, const char *key);
void pk_settings_write_resolvers(const struct pk_settings *s, struct pk_jw *w, const char *key);
void pk_settings_write_reach(const struct pk_settings *s, struct pk_jw *w, const char *key);
const char *pk_baseline_name(enum pk_baseline b);
int pk_baseline_parse(const char *text, enum pk_baseline *out);
