/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One alloc while it is read: nomad_reader.c knows the names in Nomad's JSON, nomad_reader_alloc.c
 * makes facts of them.
 */
#include "json_stream.h"
#include "nomad.h"

/* Labels, as an object's keys and values. count and bytes go on where no more are kept. */
struct labels {
	struct pk_alloc_meta *list;
	size_t n, count, bytes;
};

/* A group of the job. Which one is the alloc's is known at the alloc's end. */
struct group {
	char *name;
	struct labels meta;
	struct labels services; /* their names are the keys */
	bool services_unknown;
	char **checks; /* port labels, or numbers */
	size_t n_checks;
	/* of its network block, of which there is one */
	char *dns_servers, *dns_search, *hostname;
};

struct service {
	char *name, *port;
	char **checks; /* port labels; "": the service's */
	size_t n_checks;
	char *type, *check_port; /* of the check that is being read */
};

struct reading {
	struct pk_alloc a;
	struct labels meta;
	struct group *groups;
	size_t n_groups;
	struct group group;
	struct service service;
	struct pk_alloc_port port;
	size_t bytes; /* kept so far */
};

void reading_done(struct reading *r);
void reading_refuse(struct reading *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Each is called at the end of an object, and leaves an empty one for the next. */
void reading_port_end(struct reading *r);
void reading_check_end(struct reading *r);
void reading_service_end(struct reading *r);
void reading_group_end(struct reading *r);
/* Ends the alloc: r->a has its facts, or is refused. */
void reading_alloc_end(struct reading *r);

void reading_text(struct reading *r, char **to, const char *key, const struct pk_stream_event *e);
void reading_status(struct reading *r, const struct pk_stream_event *e);
/* Adds a word to a list with blanks between; one that makes it too long is left out. */
void reading_word(struct reading *r, char **to, const struct pk_stream_event *e);
void reading_hostname(struct reading *r, const struct pk_stream_event *e);
void reading_meta(struct reading *r, struct labels *l, const struct pk_stream_event *e);

/* Grows a list by one zeroed element, and returns the list. */
void *reading_grow(void *list, size_t *n, size_t size);
