/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One question, three who can answer it: the reference evaluator, the compiled rule sets looked up
 * as the data path does, and the data path itself on loaded tables (ask_kernel.h).
 */
#include "compile.h"
#include "judge.h"

enum pk_ask_engine { PK_ASK_REFERENCE, PK_ASK_COMPILED, PK_ASK_KERNEL };
int pk_ask_engine_parse(const char *text, enum pk_ask_engine *out); /* -EINVAL */

struct pk_asker;

/*
 * Every endpoint of the world is taken as local. The documents and settings must outlive the asker.
 */
struct pk_asker *pk_asker_new(const struct pk_settings *settings, struct pk_document *const *docs,
			      size_t n);
void pk_asker_free(struct pk_asker *asker);
static inline void pk_asker_freep(struct pk_asker **asker)
{
	pk_asker_free(*asker);
}
#define own_asker PK_OWN(pk_asker_freep) struct pk_asker

/* Sets others in place of the first ones: what was compiled is kept where it can be. */
void pk_asker_set_documents(struct pk_asker *asker, struct pk_document *const *docs, size_t n);
void pk_asker_set_settings(struct pk_asker *asker, const struct pk_settings *settings);
void pk_asker_put(struct pk_asker *asker, struct pk_world_endpoint *ep); /* takes it over */
/* Puts an endpoint of another node, which judges its own side: it is a peer alone. */
void pk_asker_put_remote(struct pk_asker *asker, struct pk_world_endpoint *ep);
struct pk_engine *pk_asker_engine(struct pk_asker *asker);
const struct pk_world *pk_asker_world(const struct pk_asker *asker);

/* Finds the facts of a question's peer: its identity, its names, the subject's open ports. */
void pk_ask_facts(const struct pk_engine *engine, const struct pk_image *image,
		  const struct pk_question *q, struct pk_image_facts *out, uint32_t *name_classes,
		  size_t room);

/* Compiles what changed. It is called before the first question after a change. */
int pk_asker_compile(struct pk_asker *asker, struct pk_err *err);
/* Tables are loaded on first use of PK_ASK_KERNEL (root). */
int pk_ask(struct pk_asker *asker, enum pk_ask_engine engine, const struct pk_question *q,
	   struct pk_verdict_value *out, struct pk_err *err);

/* The answerer of PK_ASK_KERNEL (ask_kernel.c). Programs set it; others need not link libbpf. */
struct pk_ask_kernel {
	void *(*load)(struct pk_engine *engine, struct pk_err *err);
	int (*ask)(void *state, const struct pk_question *q, struct pk_verdict_value *out,
		   struct pk_err *err);
	void (*unload)(void *state);
};
void pk_asker_set_kernel(struct pk_asker *asker, const struct pk_ask_kernel *kernel);

/*
 * A connection: the egress verdict of its source and the ingress verdict of its destination; a side
 * that is no endpoint allows.
 */
struct pk_connection {
	struct pk_peer from, to;
	uint8_t proto;
	uint16_t port;
};
struct pk_connection_verdict {
	struct pk_verdict_value side[2]; /* by enum pk_dir */
	bool asked[2];
	enum pk_verdict verdict, audit;
};
/* What the data path has no way for, and the reason that it is dropped with. */
struct pk_lack {
	const char *what, *reason;
};
/*
 * Names what this release has no way for, whatever policy says (bpf/lib/miss.h, nat.h). NULL: there
 * is a way.
 */
const struct pk_lack *pk_connection_lack(const struct pk_connection *c);
int pk_ask_connection(struct pk_asker *asker, enum pk_ask_engine engine,
		      const struct pk_connection *c, struct pk_connection_verdict *out,
		      struct pk_err *err);
