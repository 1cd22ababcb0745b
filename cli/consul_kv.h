/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Reads and writes the cluster's keys in Consul, below <prefix>/v1/<cluster>/, for an operator or a
 * tenant. Consul is found as its own tool finds it (CONSUL_HTTP_ADDR, CONSUL_HTTP_TOKEN, …).
 */
#include "cli.h"
#include "consul.h"
#include "service_call.h"

struct pk_curl_answer;

struct cli_consul {
	struct pk_service service;
	const char *origin; /* docsource.h: Consul, or Nomad's Variables */
	char *home;	    /* Nomad's namespace of the operators' variables; NULL: Consul */
	char *prefix;	    /* "picket/v1/default/" */
	uint64_t index;	    /* the index of the newest change in what was read last */
	char *hidden;	    /* a prefix below which Consul hides keys; NULL: none is known */
	bool unsure;	    /* it isn't sure that keys are hidden: there is no token to ask about */
};

/* The options that say where in Consul the cluster's keys are. */
#define CLI_CONSUL_OPTIONS                                                                         \
	{ "namespace", "NAME", "a tenant's own documents in Consul, not the operator's", 0 },      \
		{ "prefix", "PREFIX",                                                              \
		  "of Picket's keys in Consul (default: as picketd.json says)", 0 },               \
		{ "cluster", "NAME", "whose keys (default: as picketd.json says)", 0 }
/* Opens Consul, or with -nomad Nomad's Variables; what follows works with either. */
int cli_consul_open(const struct cli *cli, struct cli_consul *consul, struct pk_err *err);
void cli_consul_done(struct cli_consul *consul);

/*
 * Reads all keys below prefix + below from the leader, sorted. Keys that the token may not read are
 * missing; cli_consul_say_hidden reports that.
 */
int cli_consul_read(struct cli_consul *consul, const char *below, struct pk_kvs *out,
		    struct pk_err *err);

/*
 * Reads the same, but of Nomad's Variables only the keys: each value would take a question of its
 * own.
 */
int cli_consul_names(struct cli_consul *consul, const char *below, struct pk_kvs *out,
		     struct pk_err *err);

/*
 * Reports that Consul hides keys, if it does. Returns CLI_CANNOT where some are surely hidden and
 * none is shown, else CLI_OK.
 */
int cli_consul_say_hidden(const struct cli *cli, const struct cli_consul *consul, bool shown);

/*
 * The maker of a change: the token's description and accessor. Without ACLs or a token the name is
 * only a claim, this machine's user, and there is no accessor.
 */
struct cli_consul_who {
	char name[256];
	char accessor[64];
};
int cli_consul_self(struct cli_consul *consul, struct cli_consul_who *who, struct pk_err *err);
/*
 * Reads a store's answer on the token, and wipes the answer, since the secret is in it; name_of is
 * the member with the token's name.
 */
int cli_consul_read_self(struct pk_curl_answer *answer, const char *name_of,
			 struct cli_consul_who *who, struct pk_err *err);

/*
 * Several changes that are made together or not at all: at most 128, of 512 KiB together. In
 * Nomad's Variables they are made one after the other, up to the first that fails.
 */
struct cli_consul_change {
	const char *verb;  /* "cas", "set", "delete-cas", "delete", "check-index" */
	const char *key;   /* the whole key */
	const char *value; /* what cas and set write */
	size_t len;
	uint64_t index; /* what cas (0: no key), delete-cas and check-index compare */
};
enum cli_consul_end {
	CLI_CONSUL_DONE,
	CLI_CONSUL_STALE,   /* somebody else changed one of them: nothing is written */
	CLI_CONSUL_REFUSED, /* nothing is written */
	CLI_CONSUL_UNKNOWN, /* no answer: whether it is written isn't known */
	CLI_CONSUL_RENEWED, /* it is written, and its history begins with it */
	CLI_CONSUL_UNTOLD,  /* it is written, and its history lacks it */
	CLI_CONSUL_UNSURE,  /* it is written, and its history may lack it */
	CLI_CONSUL_HALF,    /* it is deleted, its history or a part of that isn't */
};
enum cli_consul_end cli_consul_write(struct cli_consul *consul,
				     const struct cli_consul_change *changes, size_t n,
				     struct pk_err *err);
