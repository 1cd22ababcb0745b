/* SPDX-License-Identifier: Apache-2.0 */
#include "scrape.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "fs.h"
#include "log.h"
#include "own.h"
#include "scrape_private.h"

#define PART_NS	   UINT64_C(5000000) /* of a turn, in which nobody else is answered */
#define FRESH_PART 10		     /* an answer is given again for so many times what it took */
#define TYPE	   "text/plain; version=0.0.4; charset=utf-8"

struct waiting {
	LIST_ENTRY(waiting) link;
	struct pk_exchange *x;
};

enum phase { IDLE, SLOTS, TABLES, DOCUMENTS, COUNTS, REASONS, WRITE };

struct pk_scrape {
	const struct pk_parts *parts;
	struct pk_traffic *traffic;
	struct pk_timer *timer;
	LIST_HEAD(waitings, waiting) waiting;
	enum phase phase;
	uint32_t slot; /* the next slot to read */
	struct scrape_data data;
	uint64_t begun_ns, worked_ns, fresh_ns;
	struct pk_str text; /* the last answer */
};

static void waiting_free(struct waiting *w)
{
	LIST_REMOVE(w, link);
	free(w);
}

static void on_gone(void *arg)
{
	waiting_free(arg);
}

static bool read_slots(struct pk_scrape *s, uint64_t deadline_ns)
{
	const struct pk_bpf *bpf = pk_sync_bpf(s->parts->sync);

	for (; bpf && s->slot <= bpf->node.capacity; s->slot++) {
		if (pk_now_ns() >= deadline_ns)
			return false;
		if (s->slot == 0 || pk_slot_taken(bpf, s->slot))
			pk_traffic_read(s->traffic, bpf, s->parts->model, s->slot);
	}
	return true;
}

static bool read_tables(struct pk_scrape *s, uint64_t deadline_ns)
{
	const struct pk_bpf *bpf = pk_sync_bpf(s->parts->sync);

	return !bpf || pk_tables_use_part(bpf, &s->data.tables, deadline_ns);
}

static void on_reason(void *arg, const char *what)
{
	struct scrape_data *data = arg;
	size_t i = 0;

	while (i < data->n_topics && strcmp(data->topics[i].name, what) != 0)
		i++;
	if (i == SCRAPE_TOPICS)
		return;
	if (i == data->n_topics) {
		snprintf(data->topics[i].name, sizeof(data->topics[i].name), "%s", what);
		data->n_topics++;
	}
	data->topics[i].n++;
}

static void read_reasons(struct pk_scrape *s)
{
	own_str unused = { 0 };
	struct pk_jw w = { .out = &unused };

	pk_jw_open(&w, NULL, '{');
	s->data.state =
		pk_api_reasons(s->parts, &(struct pk_api_reasons_args){ &w, &s->data.counts,
									on_reason, &s->data });
	pk_jw_close(&w, '}');
}

static void answer(struct pk_scrape *s)
{
	s->data.took_ns = pk_now_ns() - s->begun_ns;
	pk_str_reset(&s->text);
	pk_scrape_write(s->parts, s->traffic, &s->data, &s->text);
	while (!LIST_EMPTY(&s->waiting)) {
		struct waiting *w = LIST_FIRST(&s->waiting);
		struct pk_exchange *x = w->x;

		waiting_free(w);
		pk_exchange_reply_text(x, TYPE, &s->text);
	}
}

/* Does one part of the phase; returns true once it is through. */
static bool do_part(struct pk_scrape *s, uint64_t deadline_ns)
{
	switch (s->phase) {
	case SLOTS:
		return read_slots(s, deadline_ns);
	case TABLES:
		return read_tables(s, deadline_ns);
	case DOCUMENTS:
		return pk_api_enforced_part(s->parts, &s->data.documents, deadline_ns);
	case COUNTS:
		return pk_api_counts_part(s->parts, &s->data.counts, deadline_ns);
	case REASONS:
		read_reasons(s);
		return true;
	case WRITE:
		answer(s);
		return true;
	case IDLE:
		return true;
	}
	return true;
}

static void on_turn(void *arg)
{
	struct pk_scrape *s = arg;
	uint64_t now = pk_now_ns();

	if (do_part(s, now + PART_NS))
		s->phase = s->phase == WRITE ? IDLE : s->phase + 1;
	s->worked_ns += pk_now_ns() - now;
	if (s->phase == IDLE)
		s->fresh_ns = pk_now_ns() + FRESH_PART * s->worked_ns;
	else
		pk_timer_set(s->timer, 0);
}

static void begin(struct pk_scrape *s)
{
	memset(&s->data, 0, sizeof(s->data));
	s->slot = 0;
	s->worked_ns = 0;
	s->begun_ns = pk_now_ns();
	s->phase = SLOTS;
	pk_timer_set(s->timer, 0);
}

struct pk_scrape *pk_scrape_new(const struct pk_parts *parts)
{
	struct pk_scrape *s = pk_alloc(sizeof(*s));

	s->parts = parts;
	s->traffic = pk_traffic_new(parts->started.tv_sec);
	s->timer = pk_timer_new(parts->loop, on_turn, s);
	begin(s);
	return s;
}

void pk_scrape_free(struct pk_scrape *s)
{
	if (!s)
		return;
	while (!LIST_EMPTY(&s->waiting)) {
		struct waiting *w = LIST_FIRST(&s->waiting);
		struct pk_exchange *x = w->x;

		waiting_free(w);
		pk_exchange_error(x, 503, "picketd is ending", NULL);
	}
	pk_timer_free(s->timer);
	pk_traffic_free(s->traffic);
	pk_str_done(&s->text);
	free(s);
}

void pk_scrape_serve(struct pk_scrape *s, struct pk_exchange *x)
{
	struct waiting *w;

	if (s->phase == IDLE && pk_now_ns() < s->fresh_ns) {
		pk_exchange_reply_text(x, TYPE, &s->text);
		return;
	}
	w = pk_alloc(sizeof(*w));
	w->x = x;
	LIST_INSERT_HEAD(&s->waiting, w, link);
	pk_exchange_on_close(x, on_gone, w);
	if (s->phase == IDLE)
		begin(s);
}

void pk_scrape_settle(struct pk_scrape *s)
{
	pk_traffic_settle(s->traffic, pk_sync_bpf(s->parts->sync), s->parts->model);
}
