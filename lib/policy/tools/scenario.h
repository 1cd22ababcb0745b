/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A world to ask about: settings, endpoints, documents; from an expectations file (docs/policy.md,
 * "Expectations") or from the live node (GET /v1/world, docs/api.md).
 */
#include "ask.h"
#include "doc.h"
#include "json.h"

struct pk_scenario {
	char *path; /* for messages, and what policy files are relative to */
	struct pk_json_doc *json;
	struct pk_settings settings;
	struct pk_document **docs;
	size_t n_docs;
	struct pk_asker *asker;	 /* every endpoint is in it; compiled by pk_scenario_ready */
	bool has_endpoints;	 /* the file gives its own world */
	const char *file_source; /* whose files added from now on are: NULL: "file" */
	bool replacing;		 /* a document of the same name is about to go */
	bool live; /* the endpoints are a node's: their names have the allocation behind */
};

void pk_scenario_free(struct pk_scenario *c);
static inline void pk_scenario_freep(struct pk_scenario **c)
{
	pk_scenario_free(*c);
}
#define own_scenario PK_OWN(pk_scenario_freep) struct pk_scenario

/*
 * Reads the text of an expectations file; its key "expect" is left to reach.c, which finds it in
 * json. said gets warnings, and the notes on documents that were refused, for the terminal.
 */
int pk_scenario_read(const char *path, const char *text, size_t len, struct pk_scenario **out,
		     struct pk_str *said, struct pk_err *err);
/* Reads an answer of GET /v1/world. */
int pk_scenario_live(const char *text, size_t len, struct pk_scenario **out, struct pk_str *said,
		     struct pk_err *err);
/*
 * Completes a scenario from the live node's: its endpoints where the file has none, its settings
 * where the file has none, and its documents beside the file's.
 */
int pk_scenario_adopt(struct pk_scenario *c, struct pk_scenario *live, struct pk_err *err);
/* Adds one more policy file, by a path of the caller's, not the scenario's. */
int pk_scenario_add_file(struct pk_scenario *c, const char *path, struct pk_str *said,
			 struct pk_err *err);
/*
 * Adds a file in place of the file document of that name, if there is one. *index: its index in
 * docs.
 */
int pk_scenario_replace_file(struct pk_scenario *c, const char *path, size_t *index,
			     struct pk_str *said, struct pk_err *err);
/* Removes the document at that index of docs. */
void pk_scenario_drop(struct pk_scenario *c, size_t index);
/* Makes the world ready for questions. It is called after the last document and endpoint. */
int pk_scenario_ready(struct pk_scenario *c, struct pk_err *err);

/* Reads a peer: "x/a", "host", "remote-node", "world:ADDRESS" or "unknown:ADDRESS". */
int pk_scenario_peer(const struct pk_scenario *c, const char *text, struct pk_peer *out,
		     struct pk_err *err);
/*
 * Finds an endpoint by less than its name: whole parts from the left ("acme/api"), or at least 4
 * characters of its allocation's id. Several endpoints may be meant if they are one identity, since
 * they are judged alike; of these one other than `except` is taken where there is one, since an
 * endpoint always reaches itself. -ENOENT: there is none, and err is left alone. pk_scenario_peer
 * calls this where the endpoints are a live node's.
 */
int pk_scenario_find(const struct pk_scenario *c, const char *text,
		     const struct pk_world_endpoint *except, struct pk_peer *out,
		     struct pk_err *err);
/* Reads a port: "80/tcp", "53" (TCP), "gre", or a port label of `to`. */
int pk_scenario_port(const char *text, const struct pk_peer *to, uint8_t *proto, uint16_t *port,
		     struct pk_err *err);
/* Reads a protocol without ports: "gre" or "47". */
int pk_scenario_protocol(const char *text, uint8_t *proto, struct pk_err *err);
/*
 * Read an ICMP type: "echo-request", "8" or "3/1". It is of ICMPv6 where a side has IPv6 addresses
 * only.
 */
int pk_scenario_icmp_of(const char *text, bool v6, uint8_t *proto, uint16_t *port,
			struct pk_err *err);
int pk_scenario_icmp(const char *text, const struct pk_peer *from, const struct pk_peer *to,
		     uint8_t *proto, uint16_t *port, struct pk_err *err);
/* "egress of x/a: allow, baseline: same namespace" */
void pk_scenario_side_text(const struct pk_scenario *c, const struct pk_judgement *j,
			   struct pk_str *out);
