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
 * said: warnings and the notes of documents that were refused, for the terminal. The keys of
 * expectations files only; "expect" is left to reach.c (find it in json).
 */
int pk_scenario_read(const char *path, const char *text, size_t len, struct pk_scenario **out,
		     struct pk_str *said, struct pk_err *err);
/* Reads an answer of GET /v1/world. */
int pk_scenario_live(const char *text, size_t len, struct pk_scenario **out, struct pk_str *said,
		     struct pk_err *err);
/*
 * A file without endpoints takes those of the live node, its settings where the file names none,
 * and its documents beside the file's.
 */
int pk_scenario_adopt(struct pk_scenario *c, struct pk_scenario *live, struct pk_err *err);
/* Adds one more policy file; relative to nothing. */
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

/* "x/a", "host", "remote-node", "world:ADDRESS", "unknown:ADDRESS". */
int pk_scenario_peer(const struct pk_scenario *c, const char *text, struct pk_peer *out,
		     struct pk_err *err);
/*
 * An endpoint by less than its name: whole parts from the left ("acme/api"), or 4 characters or
 * more of the allocation behind it. Several may be meant where they are one identity, since they
 * are judged alike: then one that isn't `not` is taken where there is one, since an endpoint always
 * reaches itself. -ENOENT: none, err is left alone. pk_scenario_peer does it for a live node's.
 */
int pk_scenario_find(const struct pk_scenario *c, const char *text,
		     const struct pk_world_endpoint *except, struct pk_peer *out,
		     struct pk_err *err);
/* "80/tcp", "53" (TCP), "gre", a port label of `to`. */
int pk_scenario_port(const char *text, const struct pk_peer *to, uint8_t *proto, uint16_t *port,
		     struct pk_err *err);
/* "gre", "47": a protocol without ports. */
int pk_scenario_protocol(const char *text, uint8_t *proto, struct pk_err *err);
/* "echo-request", "8", "3/1"; ICMPv6 where a side has IPv6 only. */
int pk_scenario_icmp_of(const char *text, bool v6, uint8_t *proto, uint16_t *port,
			struct pk_err *err);
int pk_scenario_icmp(const char *text, const struct pk_peer *from, const struct pk_peer *to,
		     uint8_t *proto, uint16_t *port, struct pk_err *err);
/* "egress of x/a: allow, baseline: same namespace" */
void pk_scenario_side_text(const struct pk_scenario *c, const struct pk_judgement *j,
			   struct pk_str *out);
