/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Reads picketd.json, whole or not at all, and notes where each value is from. Pure but for the
 * files that it is told to read; the environment is passed in.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "json.h"
#include "paths.h"
#include "service_call.h"
#include "settings.h"

#define PK_CONFIG_KEYS_MAX 96
#define PK_CONFIG_ORIGIN   320
#define PK_CONFIG_PREFIXES 8

#define PK_STORE_CONSUL "consul"
#define PK_STORE_NOMAD	"nomad"

#define PK_FABRIC_NONE	 "none"
#define PK_FABRIC_ROUTED "routed"
#define PK_FABRIC_VXLAN	 "vxlan"

struct pk_config {
	char root[256];
	char cluster[64];
	char node[128]; /* this node's name among others; "" = nomad_node, else the host's */
	/* The prefixes in which the cluster's blocks lie; len 0 ends them. */
	struct pk_prefix range[PK_CONFIG_PREFIXES];
	bool claim;			/* this node's blocks are claimed, no conflist's pools */
	uint32_t block_len, block_len6; /* prefix lengths of the blocks that it claims */
	char fabric[16]; /* how nodes reach each other's endpoints: none | routed | vxlan */
	struct pk_settings settings;
	struct pk_service nomad, consul;
	char store[16];		   /* where nodes and operators leave word: consul | nomad */
	char store_namespace[128]; /* Nomad's, of the operators' variables */
	char nomad_node[128];	   /* name or id; "" = this host's name */
	char consul_prefix[128];
	bool consul_status, vars_status; /* write back there what became of documents */
	char policies_dir[PK_PATH_ROOM];
	bool policies_kv;
	char conflist[PK_PATH_ROOM];   /* "" = the first of CNI's directory that is ours */
	char flows_file[PK_PATH_ROOM]; /* "" = none */
	uint64_t flows_max_size;
	int64_t flows_keep;
	char flows_allowed[16];	   /* none | new */
	bool flows_closed;	   /* each flow that ended is told, with what it sent */
	char http_listen[64];	   /* ADDRESS:PORT of /metrics; "" = none */
	struct pk_paths paths;	   /* the paths below root */
	struct pk_err no_resolver; /* why guests get no resolver where nobody wanted that; "" */
	struct pk_err pool_beside; /* which conflist has a pool though blocks are claimed; "" */
	struct pk_err baselines;   /* why two conflists contradict each other; "" */
	struct pk_err unread;	   /* why a file of CNI's directory can't be read; "" */
	char *files;		   /* the files that were read, a line each; NULL: none; owned */
	bool from_directory;	   /* all of them are of one directory */
	char origin[PK_CONFIG_KEYS_MAX][PK_CONFIG_ORIGIN];
};

struct pk_config_args {
	/* The word of -config, a file or a directory; NULL: the usual place, if it is there. */
	const char *path;
	const char *root;		      /* -root; NULL = the file's, else "/" */
	const char *(*env)(const char *name); /* NULL: no environment */
	bool accept_missing; /* a file of the last run that is gone was removed on purpose */
};

/* Reads the configuration. On failure *config is as after pk_config_done. */
int pk_config_load(struct pk_config *config, const struct pk_config_args *args, struct pk_err *err);
void pk_config_done(struct pk_config *config);
/* Reads one text as a whole file, over what config has; for tests and the fuzzer. */
int pk_config_parse(struct pk_config *config, const char *name, const char *text, size_t len,
		    struct pk_err *err);
void pk_config_init(struct pk_config *config);

/* Writes the effective file as JSON with comments: each value with its origin, never a token. */
void pk_config_print(const struct pk_config *config, struct pk_str *out);
/* Writes {"key": {"value":, "origin":}, …} as members of the object that w is in. */
void pk_config_write(const struct pk_config *config, struct pk_jw *w);
/*
 * Returns whether a section ("" = the top) says the same in both, the environment's words included.
 */
bool pk_config_same(const struct pk_config *a, const struct pk_config *b, const char *section);
/* Writes "section.key" lines, the keys of a section ("" = the top), for the schema's test. */
void pk_config_keys(struct pk_str *out);
/* Writes the file's form as a JSON Schema, for editors. */
void pk_config_schema(struct pk_str *out);

/* Reads "256MiB", "10kB" or "4096" as bytes; -EINVAL otherwise. */
int pk_config_size(const char *text, uint64_t *out);

/* Reads "127.0.0.1:4680" or "[::1]:4680"; -EINVAL otherwise: no name, no port 0. */
int pk_config_listen(const char *text, union pk_addr *addr, uint16_t *port);

/*
 * Takes from the conflists what picketd.json doesn't say (pools, resolvers, baseline): design.md,
 * "Settings". It reads each *.conflist of the directory that has a plugin of type picket with this
 * root, unless config names one. Where there is none nothing changes, and it returns 0.
 */
int pk_conflist_apply(struct pk_config *config, const char *directory, struct pk_err *err);
/* Does pk_config_load, and then reads the conflists in CNI's usual directory below the root. */
int pk_config_effective(struct pk_config *config, const struct pk_config_args *args,
			struct pk_err *err);
/*
 * Reads resolvers once more, as conflists and resolv.conf have them now, and nothing else. Returns
 * whether they changed.
 */
bool pk_config_resolvers_again(struct pk_config *config);
/*
 * Reads the networks' limits once more, and nothing else. A network whose conflist is gone, or
 * refused by the plugin, keeps the limits that it had: an absence opens nothing.
 */
void pk_config_networks_again(struct pk_config *config);
void pk_config_keep_networks(struct pk_config *config, const struct pk_config *before);
/*
 * Keeps the baseline of before where that is stricter, and a conflist that may say it can't be
 * read: an absence opens nothing. picketd.json's word holds as ever.
 */
void pk_config_keep_baseline(struct pk_config *config, enum pk_baseline before);
/*
 * Returns -ENOENT where a file of the last run (before: lines, as in files) is gone that was not
 * removed on purpose, as far as can be told.
 */
int pk_config_check_gone(const struct pk_config *config, const char *before, struct pk_err *err);
/* Read and write the names of the last run's files, which are kept below the root. */
int pk_config_remember(const char *root, const char *files, struct pk_err *err);
int pk_config_check_last(const struct pk_config *config, struct pk_err *err);
/* Returns whether Nomad's Variables are where nodes and operators leave word, not Consul. */
static inline bool pk_config_is_vars(const struct pk_config *config)
{
	return strcmp(config->store, PK_STORE_NOMAD) == 0;
}
/* Returns who keeps that word, for people. */
static inline const char *pk_config_store_name(const struct pk_config *config)
{
	return pk_config_is_vars(config) ? "Nomad" : "Consul";
}
/* Returns where a key's value is from: "pools", "masquerade.ports". The key must be one. */
void pk_config_origin(struct pk_config *config, const char *key, const char *origin);
