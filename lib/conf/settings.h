/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The settings that a node lives by, as picketd makes them effective and node.json tells them to
 * the plugin (design.md, "Settings"); the conflist fills in for what node.json lacks. Controller,
 * plugin, CLI and the policy engine share this.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "eplimits.h"
#include "err.h"
#include "paths.h"
#include "picket/maps.h"
#include "str.h"

struct pk_json;
struct pk_json_doc;
struct pk_jw;

enum pk_baseline { PK_BASELINE_TENANT, PK_BASELINE_DENY, PK_BASELINE_OPEN };

/* Names of the devices that lead out of the node; none: those of the default routes. */
struct pk_uplink_names {
	char name[PK_UPLINKS][PK_IFNAME_MAX + 1];
	size_t n;
	bool given; /* picketd.json says them; false: node.json leaves them out */
};

/*
 * Masquerading gives the node's address to what leaves for the world, instead of the endpoint's
 * own.
 */
struct pk_masquerade {
	bool ipv4, ipv6;
	uint16_t low, high;	 /* the node's ports that it uses, both included */
	bool given, ports_given; /* a file said ipv4 or ipv6; said the ports */
};

/* The overlay that carries packets between nodes ("fabric": "vxlan"). */
struct pk_vxlan {
	bool on;
	uint32_t port, vni;
	char underlay[8]; /* "ipv4" or "ipv6": the outer header's family */
};
#define PK_VXLAN_UNDERLAY6 "ipv6"
static inline bool pk_vxlan_is6(const struct pk_vxlan *v)
{
	return v->underlay[3] == '6';
}
/* Returns what it takes of each packet: outer IP, UDP, VXLAN and inner Ethernet header. */
static inline uint32_t pk_vxlan_overhead(const struct pk_vxlan *v)
{
	if (!v->on)
		return 0;
	return pk_vxlan_is6(v) ? 70 : 50;
}

/* A network's limits, as its conflist has them now. */
struct pk_network {
	char name[256];
	struct pk_limits limits;
};

#define PK_DECLARED_SERVICE_MAX	      64 /* services */
#define PK_DECLARED_SERVICE_NAME      129
#define PK_DECLARED_SERVICE_WITHIN    8	 /* prefixes of one service */
#define PK_DECLARED_SERVICE_TENANTS   32 /* tenants of one service */
#define PK_DECLARED_SERVICE_INSTANCES 64 /* instances of one that count at a time */

/*
 * A service that runs outside of the cluster's pools, as the operator declared it (docs/policy.md,
 * "Declared services"): whatever the catalogue says, its instances lie within these prefixes.
 */
struct pk_declared_service {
	char name[PK_DECLARED_SERVICE_NAME];
	bool nomad;				    /* in Nomad's own catalogue, else in Consul's */
	char tenant_name[PK_DECLARED_SERVICE_NAME]; /* its namespace; "": none */
	struct pk_prefix within[PK_DECLARED_SERVICE_WITHIN];
	size_t n_within;
	/* The tenants whose documents may open it. */
	char tenants[PK_DECLARED_SERVICE_TENANTS][PK_DECLARED_SERVICE_NAME];
	size_t n_tenants;
	bool all_tenants;
	/* The addresses that count now, in order. */
	union pk_addr instances[PK_DECLARED_SERVICE_INSTANCES];
	size_t n_instances;
};

struct pk_settings {
	enum pk_baseline baseline;
	/* picketd.json says it, or conflists do; false: node.json leaves it out. */
	bool baseline_given, pools_given, resolvers_given;
	enum pk_baseline baseline_before; /* in force when node.json was written, whoever said it */
	bool baseline_differs; /* conflists name several: a network of another takes no endpoint */
	bool has_nomad;	       /* false: "nomad": null, job and group are believed */
	bool health_checks;
	struct pk_masquerade masquerade;
	struct pk_uplink_names uplinks;
	struct pk_vxlan vxlan;
	char cgroup[PK_PATH_ROOM]; /* whose processes reach published ports; "" = none */
	struct pk_prefix *pools;   /* the cluster's endpoint prefixes */
	size_t n_pools;
	bool claimed;		  /* the node claims its blocks: no conflist's pool counts */
	struct pk_prefix *blocks; /* claimed: an ADD takes its addresses from these */
	size_t n_blocks;
	int64_t blocks_until; /* claimed: seconds since 1970; later they are to be confirmed */
	union pk_addr *resolvers;
	size_t n_resolvers;
	bool resolver_host;	 /* "host" among the resolvers, or an address of the node */
	struct pk_prefix *reach; /* tenantReach: prefixes */
	size_t n_reach;
	bool reach_host, reach_remote_node;
	struct pk_declared_service *services;
	size_t n_services;
	uint32_t capacity;	  /* endpoints */
	uint32_t flow_budget;	  /* places of an endpoint; fewer than were loaded count at once */
	uint32_t new_flows_per_s; /* of an endpoint that is given none: 0 = no limit */
	bool new_flows_given;
	struct pk_limits limits;    /* of each endpoint, but for these two */
	struct pk_limits job_most;  /* that a job's meta may set; nothing: it may not */
	struct pk_network *network; /* what the conflists say; picketd's own, not in node.json */
	size_t n_networks;
	uint32_t timeout[PK_TIMEOUT_ROOM]; /* by enum pk_timeout; seconds */
	char region[64], node[128], node_pool[64],
		datacenter[64]; /* the labels of this node, "" = unknown */
	char nomad_version[64]; /* the version of its agent, "" = unknown */
	bool nomad_unasked;	/* there is no node.json: no picketd has ever asked Nomad */
};

void pk_settings_init(struct pk_settings *s); /* the defaults of docs/install.md */
void pk_settings_done(struct pk_settings *s);
/* Copies all of from; what *to had is freed. */
void pk_settings_copy(struct pk_settings *to, const struct pk_settings *from);
/* Returns the network of that name, else NULL. */
const struct pk_network *pk_settings_network(const struct pk_settings *s, const char *name);
/* Adds the network, unless there is one of its name. */
void pk_settings_add_network(struct pk_settings *s, const struct pk_network *network);
/* Copies the networks of from in place of those that *to has. */
void pk_settings_copy_networks(struct pk_settings *to, const struct pk_settings *from);
/* Fills in the limits that these settings give an endpoint; the caller adds its conflist's. */
void pk_settings_limits(const struct pk_settings *s, struct pk_limits *limits);
/* Returns whether a and b declare the same service of the same catalogue. */
bool pk_declared_service_same(const struct pk_declared_service *a,
			      const struct pk_declared_service *b);
bool pk_declared_service_has(const struct pk_declared_service *d,
			     const union pk_addr *addr); /* whether addr lies within d's prefixes */
const char *
pk_declared_service_catalog(const struct pk_declared_service *d); /* the catalogue's name */
/*
 * Writes the members that declare the service, without its instances, into the object that is open.
 */
void pk_declared_service_write(const struct pk_declared_service *d, struct pk_jw *w);
/*
 * Copies the instances of each service that both declare into s, as far as they lie within the
 * prefixes that s declares.
 */
void pk_settings_keep_instances(struct pk_settings *s, const struct pk_settings *from);
/*
 * Reads node.json into s. A key that is absent leaves s as it is; an unknown key is a newer
 * release's and skipped.
 */
int pk_settings_read(struct pk_settings *s, const char *path, struct pk_err *err);
void pk_settings_json(const struct pk_settings *s, struct pk_str *out);
/* Reads one key of node.json out of another file's object: absent or null keeps what s has. */
int pk_settings_get(struct pk_settings *s, const struct pk_json_doc *doc,
		    const struct pk_json *object, const char *key, struct pk_err *err);
/* Writes the settings as a member of the object that w is in. */
void pk_settings_write(const struct pk_settings *s, struct pk_jw *w, const char *key);
const char *pk_timeout_name(enum pk_timeout timeout); /* the timeout's key in picketd.json */
/* "10000-19999" */
const char *pk_masquerade_ports(const struct pk_masquerade *m, char text[16]);
/*
 * Checks that the ports are the node's own to give: none that a socket may get by itself
 * (ip_local_port_range of the current netns, but for what ip_local_reserved_ports keeps out of it)
 * or that Nomad gives to jobs (20000 to 32000). PK_CODE_CONFIG with a fix where they aren't;
 * nothing is masqueraded: 0.
 */
int pk_masquerade_check(const struct pk_masquerade *masquerade, struct pk_err *err);
/*
 * The version of Nomad's agent decides whose word a namespace in CNI_ARGS is: from 1.9.4 on Nomad
 * sets it, before that a job's author may.
 */
enum pk_args_word {
	PK_ARGS_BELIEVED,
	PK_ARGS_OF_AUTHOR, /* older than 1.9.4 */
	PK_ARGS_UNKNOWN,   /* nobody has said the version yet, or it is none */
};
/*
 * A claim that nobody could confirm counts for this long. One that is given back is nobody's for
 * twice as long (cluster/claims.h), so clocks may differ by as much.
 */
#define PK_BLOCKS_KEEP_S 86400
/* Returns 0 where claimed blocks may be handed out, else PK_CODE_TRY_LATER and a fix. */
int pk_settings_check_blocks(const struct pk_settings *s, int64_t now, struct pk_err *err);
enum pk_args_word pk_settings_args_word(const struct pk_settings *s);
const char *pk_baseline_name(enum pk_baseline b);
int pk_baseline_parse(const char *text, enum pk_baseline *out);
