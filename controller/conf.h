/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * picketd.json: read whole or not at all, every value with where it came from. Pure but for the
 * files that it is told to read; the environment is passed in.
 */
#include <stdbool.h>
#include <stdint.h>

#include "json.h"
#include "paths.h"
#include "settings.h"

#define PK_CONFIG_KEYS_MAX  64
#define PK_CONFIG_ORIGIN    320
#define PK_CONFIG_ADDRESSES 5
#define PK_CONFIG_NAME	    256
#define PK_CONFIG_PREFIXES  8

struct pk_config_service { /* how Nomad or Consul is reached */
	bool on;
	bool said;					   /* a file says so, or that it is off */
	char address[PK_CONFIG_ADDRESSES][PK_CONFIG_NAME]; /* asked in turn; "" ends them */
	char token_file[PK_PATH_ROOM];
	char token[128]; /* from the environment only */
	char ca_file[PK_PATH_ROOM];
	char cert_file[PK_PATH_ROOM], key_file[PK_PATH_ROOM]; /* the client's own; both or none */
	char server_name[PK_CONFIG_NAME]; /* that the server's certificate is for; "" = the host */
	char region[PK_CONFIG_NAME];	  /* Nomad's; "" = the agent's own */
	char namespace[PK_CONFIG_NAME], partition[PK_CONFIG_NAME]; /* Consul's, likewise */
};

#define PK_FABRIC_NONE	 "none"
#define PK_FABRIC_ROUTED "routed"

struct pk_config {
	char root[256];
	char cluster[64];
	char node[128]; /* this node's name among others; "" = nomad_node, else the host's */
	struct pk_prefix
		range[PK_CONFIG_PREFIXES]; /* the cluster's blocks lie in it; len 0 ends it */
	char fabric[16]; /* how nodes reach each other's endpoints: none | routed */
	struct pk_settings settings;
	struct pk_config_service nomad, consul;
	char nomad_node[128]; /* name or id; "" = this host's name */
	char consul_prefix[128];
	bool consul_status; /* tenants are told there what became of their documents */
	char policies_dir[PK_PATH_ROOM];
	bool policies_kv;
	char conflist[PK_PATH_ROOM];   /* "" = the first of CNI's directory that is ours */
	char flows_file[PK_PATH_ROOM]; /* "" = none */
	uint64_t flows_max_size;
	int64_t flows_keep;
	char flows_allowed[16];	   /* none | new */
	char http_listen[64];	   /* ADDRESS:PORT of /metrics; "" = none */
	struct pk_paths paths;	   /* of root */
	struct pk_err no_resolver; /* why guests get none, where nobody said that; "" */
	struct pk_err baselines;   /* two conflists differ in theirs; "" */
	char *files;		   /* that were read, a line each; NULL: none; owned */
	bool from_directory;	   /* all of one */
	char origin[PK_CONFIG_KEYS_MAX][PK_CONFIG_ORIGIN];
};

struct pk_config_args {
	const char
		*path; /* -config: a file or a directory; NULL = the usual place, may be absent */
	const char *root;		      /* -root; NULL = the file's, else "/" */
	const char *(*env)(const char *name); /* NULL: no environment */
	bool accept_missing; /* a file of the last run that is gone was removed on purpose */
};

/* On failure *config is as after pk_config_done. */
int pk_config_load(struct pk_config *config, const struct pk_config_args *args, struct pk_err *err);
void pk_config_done(struct pk_config *config);
/* One text as a whole file, over what config has; for tests and the fuzzer. */
int pk_config_parse(struct pk_config *config, const char *name, const char *text, size_t len,
		    struct pk_err *err);
void pk_config_init(struct pk_config *config);

/* The effective file as JSON with comments: each value with its origin. Never a token. */
void pk_config_print(const struct pk_config *config, struct pk_str *out);
/* {"key": {"value":, "origin":}, …} as members of the object that w is in. */
void pk_config_write(const struct pk_config *config, struct pk_jw *w);
/* Whether a section ("" = the top) says the same, with what the environment says of it. */
bool pk_config_same(const struct pk_config *a, const struct pk_config *b, const char *section);
/* The keys of a section ("" = the top), for the schema's test: writes "section.key" lines. */
void pk_config_keys(struct pk_str *out);
/* The file's form as a JSON Schema, for editors. */
void pk_config_schema(struct pk_str *out);

/* "256MiB", "10kB", "4096": bytes. -EINVAL otherwise. */
int pk_config_size(const char *text, uint64_t *out);

/* "127.0.0.1:4680", "[::1]:4680". -EINVAL otherwise: no name, no port 0. */
int pk_config_listen(const char *text, union pk_addr *addr, uint16_t *port);

/*
 * What the conflist says and picketd.json doesn't (pools, resolvers, baseline): design.md,
 * "Settings". Takes each *.conflist of the directory that has a plugin of type picket with
 * this root, unless config names one. None found: nothing changes, 0.
 */
int pk_conflist_apply(struct pk_config *config, const char *directory, struct pk_err *err);
/* pk_config_load and then the conflist in CNI's usual directory below the root. */
int pk_config_effective(struct pk_config *config, const struct pk_config_args *args,
			struct pk_err *err);
/*
 * Resolvers alone, once more, as conflists and resolv.conf have them now; the rest stays. True:
 * they are others.
 */
bool pk_config_resolvers_again(struct pk_config *config);
/*
 * The networks' limits alone, likewise. One whose conflist is gone, or that the plugin would refuse,
 * keeps what it had: an absence opens nothing.
 */
void pk_config_networks_again(struct pk_config *config);
void pk_config_keep_networks(struct pk_config *config, const struct pk_config *before);
/*
 * A file that is gone says nothing: -ENOENT where before (lines, as in files) has one that was not
 * removed on purpose, as far as can be told.
 */
int pk_config_check_gone(const struct pk_config *config, const char *before, struct pk_err *err);
/* The files of the last run; kept below the root. */
int pk_config_remember(const char *root, const char *files, struct pk_err *err);
int pk_config_check_last(const struct pk_config *config, struct pk_err *err);
/* Where a key's value is from: "pools", "masquerade.ports". The key must be one. */
void pk_config_origin(struct pk_config *config, const char *key, const char *origin);
