/* SPDX-License-Identifier: Apache-2.0 */
#include "events.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "event_lost.h"
#include "event_share.h"
#include "flow_budget.h"
#include "own.h"

#define FOLLOWERS_MAX 16  /* each may leave a megabyte unread */
#define BATCH	      256 /* events at most before the loop has its turn */

struct follower {
	LIST_ENTRY(follower) link;
	struct pk_events *events;
	struct pk_exchange *x;
	uint64_t lost;	     /* lines that this reader was too slow for */
	uint64_t lost_since; /* loop's clock, ms */
};

/* A kept event, or a note of how many were lost at that point. */
struct kept {
	struct pk_flow_event flow;
	struct pk_flow_lost lost; /* lost.events 0: it is an event */
};

struct pk_events {
	struct pk_loop *loop;
	struct pk_flow_names names;
	struct pk_flowlog *log;
	struct ring_buffer *ring;
	struct pk_watch *watch;
	LIST_HEAD(followers, follower) followers;
	struct kept *last;	      /* PK_EVENTS_LAST of them, from the first event on */
	struct pk_flow_who_set *held; /* the names that kept events have */
	struct pk_flow_budget *file;
	unsigned int at, batch; /* at: index of the next one; batch: events of this turn */
	struct pk_event_share share;
	struct pk_event_losses *losses;
	uint64_t second;
	uint64_t over, over_since; /* events lost in the running second, and since when */
	struct pk_events_stats stats;
};

struct pk_events *pk_events_new(struct pk_loop *loop, const struct pk_flow_names *names,
				struct pk_flowlog *log)
{
	struct pk_events *e = pk_alloc(sizeof(*e));

	*e = (struct pk_events){ .loop = loop, .names = *names, .log = log };
	e->held = pk_flow_who_set_new();
	e->file = pk_flow_budget_new();
	e->losses = pk_event_losses_new();
	return e;
}

static void close_ring(struct pk_events *e)
{
	pk_watch_free(e->watch);
	ring_buffer__free(e->ring);
	e->watch = NULL;
	e->ring = NULL;
}

static void unfollow(struct follower *f)
{
	LIST_REMOVE(f, link);
	f->events->stats.subscribers--;
	free(f);
}

void pk_events_free(struct pk_events *e)
{
	if (!e)
		return;
	while (!LIST_EMPTY(&e->followers)) {
		struct follower *f = LIST_FIRST(&e->followers);
		struct pk_exchange *x = f->x;

		unfollow(f);
		pk_exchange_end(x);
	}
	close_ring(e);
	for (size_t i = 0; e->last && i < PK_EVENTS_LAST; i++)
		pk_flow_done(&e->last[i].flow);
	free(e->last);
	pk_flow_who_set_free(e->held);
	pk_flow_budget_free(e->file);
	pk_event_losses_free(e->losses);
	free(e);
}

void pk_events_set_log(struct pk_events *e, struct pk_flowlog *log)
{
	e->log = log;
}

void pk_events_stats(const struct pk_events *e, struct pk_events_stats *out)
{
	*out = e->stats;
}

struct pk_event_lost pk_events_lost_of(const struct pk_events *e, const struct pk_local_endpoint *m)
{
	return *pk_event_losses_of(e->losses, m->slot, m->key);
}

/* Returns the losses of the endpoint in whose share the event counts. */
static struct pk_event_lost *losses_of(struct pk_events *e, uint32_t slot)
{
	const struct pk_local_endpoint *m = slot ? pk_model_by_slot(e->names.model, slot) : NULL;

	return pk_event_losses_of(e->losses, m ? slot : 0, m ? m->key : NULL);
}

static struct pk_flow_lost lost_now(struct pk_events *e, uint64_t events, const char *cause,
				    uint64_t since_ms)
{
	struct pk_flow_lost lost = { .events = events,
				     .cause = cause,
				     .since_s = (double)(pk_loop_now(e->loop) - since_ms) / 1000 };

	clock_gettime(CLOCK_REALTIME, &lost.when);
	return lost;
}

static void tell(struct pk_events *e, struct follower *f, const char *line, size_t len)
{
	uint64_t now = pk_loop_now(e->loop);

	if (f->lost) {
		const struct pk_flow_lost lost = lost_now(e, f->lost, "subscriber", f->lost_since);
		own_str record = { 0 };

		pk_flow_lost_json(&lost, &record);
		if (pk_exchange_line(f->x, record.text, record.len))
			f->lost = 0;
	}
	if (f->lost || !pk_exchange_line(f->x, line, len)) {
		if (f->lost++ == 0)
			f->lost_since = now;
	}
}

static void keep(struct pk_events *e, const struct kept *kept)
{
	if (!e->last)
		e->last = pk_alloc(PK_EVENTS_LAST * sizeof(*e->last));
	pk_flow_done(&e->last[e->at].flow);
	e->last[e->at] = *kept;
	e->at = (e->at + 1) % PK_EVENTS_LAST;
}

static void follow(struct pk_events *e, const struct pk_str *line)
{
	struct follower *f;

	LIST_FOREACH (f, &e->followers, link)
		tell(e, f, line->text, line->len);
}

static void lose(struct pk_events *e, const struct pk_flow_lost *lost)
{
	const struct kept kept = { .lost = *lost };
	own_str line = { 0 };

	pk_flow_lost_json(lost, &line);
	if (e->log)
		pk_flowlog_line(e->log, line.text, line.len);
	follow(e, &line);
	keep(e, &kept);
}

/*
 * Returns the slot in whose share the event counts: its sender's, where that is an endpoint here,
 * so that nobody uses up another's share.
 */
static uint32_t payer(const struct pk_event *ev)
{
	return ev->dir == PK_INGRESS && ev->peer_slot ? ev->peer_slot : ev->slot;
}

static void write_file(struct pk_events *e, const struct pk_event *ev, const struct pk_str *line)
{
	uint64_t now = pk_loop_now(e->loop);
	struct pk_flow_missed missed;

	if (!e->log)
		return;
	if (!pk_flow_budget_take(e->file, payer(ev), line->len + 1, now, &missed)) {
		e->stats.over++;
		losses_of(e, payer(ev))->unfiled++;
		return;
	}
	if (missed.lines) {
		const struct pk_flow_lost lost = lost_now(e, missed.lines, "file", missed.since_ms);
		own_str record = { 0 };

		pk_flow_lost_json(&lost, &record);
		pk_flowlog_line(e->log, record.text, record.len);
	}
	pk_flowlog_line(e->log, line->text, line->len);
}

/* Returns the tenant in whose share the event counts. */
static uint32_t tenant(const struct pk_event *ev)
{
	return ev->dir == PK_INGRESS && !ev->peer_slot ? ev->dst_tenant : ev->src_tenant;
}

/* Counts the event in this second's shares; first reports what was lost in the second before. */
static bool within_budget(struct pk_events *e, const struct pk_event *ev)
{
	uint64_t now = pk_loop_now(e->loop), second = now / 1000;

	if (second != e->second) {
		e->second = second;
		if (e->over) {
			const struct pk_flow_lost lost =
				lost_now(e, e->over, "ring", e->over_since);

			e->over = 0;
			lose(e, &lost);
		}
	}
	if (pk_event_share_take(&e->share, tenant(ev), payer(ev), second))
		return true;
	if (e->over++ == 0)
		e->over_since = now;
	e->stats.lost++;
	losses_of(e, payer(ev))->unnamed++;
	return false;
}

/* Returns the event's boot time as wall clock, by the difference of both clocks now. */
static struct timespec wall_time(uint64_t boot_ns)
{
	struct timespec wall, boot;
	int64_t ns;

	clock_gettime(CLOCK_REALTIME, &wall);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	ns = wall.tv_sec * 1000000000LL + wall.tv_nsec -
	     (boot.tv_sec * 1000000000LL + boot.tv_nsec - (int64_t)boot_ns);
	return (struct timespec){ .tv_sec = ns / 1000000000LL, .tv_nsec = ns % 1000000000LL };
}

/* Reads a record; returns false where it is none of this release's. */
static bool read_record(const void *data, size_t size, struct pk_event_closed *to)
{
	*to = (struct pk_event_closed){ 0 };
	if (size < sizeof(to->event))
		return false;
	memcpy(&to->event, data, sizeof(to->event));
	if (to->event.version == PK_EVENT_VERSION)
		return to->event.type != PK_EVENT_CLOSED;
	if (to->event.version != PK_EVENT_CLOSED_VERSION || size < sizeof(*to))
		return false;
	memcpy(to, data, sizeof(*to));
	return to->event.type == PK_EVENT_CLOSED;
}

void pk_events_take(struct pk_events *e, const void *data, size_t size)
{
	struct kept kept = { 0 };
	struct pk_event_closed closed;
	const struct pk_event *ev = &closed.event;
	struct timespec when;
	own_str line = { 0 };

	if (!read_record(data, size, &closed)) {
		e->stats.lost++;
		return;
	}
	e->stats.seen++;
	e->stats.lost += ev->lost;
	if (!within_budget(e, ev))
		return;
	when = wall_time(ev->ns);
	pk_flow_take(&kept.flow, &closed, &when, &e->names, e->held);
	if (e->log || !LIST_EMPTY(&e->followers)) {
		pk_flow_json(&kept.flow, &e->names, &line);
		write_file(e, ev, &line);
		follow(e, &line);
	}
	keep(e, &kept);
}

static int on_record(void *arg, void *data, size_t size)
{
	struct pk_events *e = arg;

	pk_events_take(e, data, size);
	/*
	 * A negative return ends the turn; libbpf counts the record as read all the same
	 * (ringbuf.c).
	 */
	return ++e->batch < BATCH ? 0 : -EAGAIN;
}

static void on_ring(void *arg)
{
	struct pk_events *e = arg;

	e->batch = 0;
	ring_buffer__consume(e->ring);
}

int pk_events_open(struct pk_events *e, const char *pin, struct pk_err *err)
{
	own_fd int fd = bpf_obj_get(pin);

	if (fd < 0)
		return pk_fail(err, errno, "open %s", pin);
	close_ring(e);
	e->ring = ring_buffer__new(fd, on_record, e, NULL);
	if (!e->ring)
		return pk_fail(err, errno, "read %s", pin);
	e->watch = pk_watch_fd(e->loop, ring_buffer__epoll_fd(e->ring), on_ring, e);
	return 0;
}

static void on_gone(void *arg)
{
	unfollow(arg);
}

static void follow_on(struct pk_events *e, struct pk_exchange *x)
{
	struct follower *f = pk_alloc(sizeof(*f));

	*f = (struct follower){ .events = e, .x = x };
	LIST_INSERT_HEAD(&e->followers, f, link);
	e->stats.subscribers++;
	pk_exchange_on_close(x, on_gone, f);
}

void pk_events_serve(struct pk_events *e, struct pk_exchange *x, unsigned int last, bool follow)
{
	if (last > PK_EVENTS_LAST)
		last = PK_EVENTS_LAST;
	if (follow && e->stats.subscribers >= FOLLOWERS_MAX) {
		pk_exchange_error(x, 503, "too many follow the flows already",
				  "read the flows file");
		return;
	}
	pk_exchange_stream(x);
	for (unsigned int i = PK_EVENTS_LAST - last; e->last && i < PK_EVENTS_LAST; i++) {
		const struct kept *kept = &e->last[(e->at + i) % PK_EVENTS_LAST];
		own_str line = { 0 };

		if (kept->lost.events)
			pk_flow_lost_json(&kept->lost, &line);
		else if (kept->flow.source)
			pk_flow_json(&kept->flow, &e->names, &line);
		if (line.len)
			pk_exchange_line(x, line.text, line.len);
	}
	if (follow && last)
		pk_exchange_line(x, "", 0); /* an empty line ends the past */
	if (follow)
		follow_on(e, x);
	else
		pk_exchange_end(x);
}
