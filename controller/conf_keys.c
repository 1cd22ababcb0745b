/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "conf_private.h"
#include "own.h"

static const char *const allowed_choices[] = { "none", "new", NULL };

#define AT(field) offsetof(struct pk_config, field), sizeof(((struct pk_config *)0)->field)

static int get_health(struct pk_settings *s, const struct pk_json_doc *doc,
		      const struct pk_json *object, struct pk_err *err)
{
	return pk_json_get_bool(doc, object, "healthChecks", &s->health_checks, err);
}

/* pk_settings_get_sizes reads both sections from the top: see read_section. */
const struct conf_key conf_keys[] = {
	{ "", "root", PATH, AT(root), true, NULL, NULL },
	{ "", "cluster", KEY_PATH, AT(cluster), false, NULL, NULL },
	{ "", "baseline", SETTING, 0, 0, false, pk_settings_get_baseline, NULL },
	{ "", "pools", SETTING, 0, 0, true, pk_settings_get_pools, NULL },
	{ "", "tenantReach", SETTING, 0, 0, false, pk_settings_get_reach, NULL },
	{ "", "healthChecks", SETTING, 0, 0, false, get_health, NULL },
	{ "", "resolvers", SETTING, 0, 0, true, pk_settings_get_resolvers, NULL },
	{ "", "conflist", PATH, AT(conflist), true, NULL, NULL },
	{ "", "uplinks", SETTING, 0, 0, true, pk_settings_get_uplinks, NULL },
	{ "", "cgroup", PATH, AT(settings.cgroup), true, NULL, NULL },
	{ "nomad", "address", ADDRESS, AT(nomad.address), false, NULL, NULL },
	{ "nomad", "node", TEXT, AT(nomad_node), true, NULL, NULL },
	{ "nomad", "tokenFile", PATH, AT(nomad.token_file), true, NULL, NULL },
	{ "nomad", "caFile", PATH, AT(nomad.ca_file), true, NULL, NULL },
	{ "nomad", "certFile", PATH, AT(nomad.cert_file), true, NULL, NULL },
	{ "nomad", "keyFile", PATH, AT(nomad.key_file), true, NULL, NULL },
	{ "nomad", "serverName", TEXT, AT(nomad.server_name), true, NULL, NULL },
	{ "nomad", "region", TEXT, AT(nomad.region), true, NULL, NULL },
	{ "consul", "address", ADDRESS, AT(consul.address), false, NULL, NULL },
	{ "consul", "tokenFile", PATH, AT(consul.token_file), true, NULL, NULL },
	{ "consul", "caFile", PATH, AT(consul.ca_file), true, NULL, NULL },
	{ "consul", "certFile", PATH, AT(consul.cert_file), true, NULL, NULL },
	{ "consul", "keyFile", PATH, AT(consul.key_file), true, NULL, NULL },
	{ "consul", "serverName", TEXT, AT(consul.server_name), true, NULL, NULL },
	{ "consul", "namespace", TEXT, AT(consul.namespace), true, NULL, NULL },
	{ "consul", "partition", TEXT, AT(consul.partition), true, NULL, NULL },
	{ "consul", "prefix", KEY_PATH, AT(consul_prefix), false, NULL, NULL },
	{ "consul", "status", BOOL, AT(consul_status), false, NULL, NULL },
	{ "policies", "directory", PATH, AT(policies_dir), false, NULL, NULL },
	{ "policies", "kv", BOOL, AT(policies_kv), false, NULL, NULL },
	{ "masquerade", "ipv4", SETTING, 0, 0, false, pk_settings_get_masquerade, NULL },
	{ "masquerade", "ipv6", SETTING, 0, 0, false, pk_settings_get_masquerade, NULL },
	{ "masquerade", "ports", SETTING, 0, 0, false, pk_settings_get_masquerade, NULL },
	{ "blocks", "range", NOT_BUILT, 0, 0, true, NULL, NULL },
	{ "http", "listen", LISTEN, AT(http_listen), true, NULL, NULL },
	{ "flows", "file", PATH, AT(flows_file), true, NULL, NULL },
	{ "flows", "maxSize", SIZE, AT(flows_max_size), false, NULL, NULL },
	{ "flows", "keep", INT, AT(flows_keep), false, NULL, NULL },
	{ "flows", "allowed", CHOICE, AT(flows_allowed), false, NULL, allowed_choices },
	{ "capacity", "endpoints", SETTING, 0, 0, false, pk_settings_get_sizes, NULL },
	{ "limits", "flowsPerEndpoint", SETTING, 0, 0, false, pk_settings_get_sizes, NULL },
	{ "limits", "newFlowsPerSecond", SETTING, 0, 0, false, pk_settings_get_sizes, NULL },
#define TIMEOUT_KEY(sym, name, seconds, text)                                                      \
	{ "timeouts", name,                                                                        \
	  TIMEOUT,    AT(settings.timeout[PK_TIMEOUT_##sym]),                                      \
	  false,      pk_settings_get_timeouts,                                                    \
	  NULL },
	PK_TIMEOUTS(TIMEOUT_KEY)
};
_Static_assert(PK_ARRAY_LEN(conf_keys) <= PK_CONFIG_KEYS_MAX, "an origin for each key");

const char *const conf_sections[] = { "nomad", "consul", "policies", "masquerade", "blocks",
				      "http",  "flows",	 "capacity", "limits",	   "timeouts" };
_Static_assert(PK_ARRAY_LEN(conf_sections) <= CONF_SECTIONS_MAX, "room for each section");
const size_t conf_n_keys = PK_ARRAY_LEN(conf_keys);
const size_t conf_n_sections = PK_ARRAY_LEN(conf_sections);
