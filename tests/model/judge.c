// SPDX-License-Identifier: Apache-2.0
/* Does what a guard did agree with what the model foretold? */
#include <stdio.h>
#include <string.h>

#include "tests/model/cast.h"
#include "tests/model/state.h"

#define TC_ON	    (-1)
#define TC_OK	    0
#define TC_SHOT	    2
#define TC_REDIRECT 7

const char *reason_name(uint32_t reason)
{
#define NAME(nr, sym, name, built, help) [nr] = name,
	static const char *const names[PK_REASON_SLOTS] = { PK_REASONS(NAME) };
#undef NAME
	return reason < PK_REASON_SLOTS && names[reason] ? names[reason] : "?";
}

/* What the counters say that happened. */
static void say_counted(const struct deed *d, char *text, size_t room)
{
	size_t used = 0;

	*text = 0;
	for (uint32_t row = 0; row < ROWS && used + 64 < room; row++)
		if (d->after[row] != d->before[row])
			used += (size_t)snprintf(
				text + used, room - used, " %s of slot %u, %s (%+ld)",
				reason_name(row % PK_REASON_SLOTS), row / PK_REASON_SLOTS / 2,
				row / PK_REASON_SLOTS % 2 ? "ingress" : "egress",
				(long)(d->after[row] - d->before[row]));
}

static bool counted(const struct outcome *o, enum pk_reason reason, const struct deed *d)
{
	uint32_t row = PK_COUNTER(o->slot, o->dir, reason);
	uint32_t also = o->also ? PK_COUNTER(o->also, PK_INGRESS, PK_REASON_OK) : ROWS;

	for (uint32_t i = 0; i < ROWS; i++) {
		uint64_t more = (o->where != GOES_ON && i == row) + (i == also);

		if (d->after[i] != d->before[i] + more)
			return false;
	}
	return true;
}

/* A later fragment whose first one's record is another's by now: dropped where it came in. */
bool judge_is_other(const struct step *s, const struct outcome *o, const struct deed *d)
{
	struct outcome other = { .reason = o->maybe,
				 .slot = s->slot,
				 .dir = s->hook == AT_ENDPOINT ? PK_EGRESS : PK_INGRESS };

	if (!o->maybe)
		return false;
	if (d->result->verdict == TC_SHOT)
		return o->reason != o->maybe && counted(&other, o->maybe, d);
	other.where = GOES_ON;
	return s->hook == AT_UPLINK && d->result->verdict == TC_ON && counted(&other, 0, d);
}

static int verdict_of(const struct step *s, const struct outcome *o)
{
	switch (o->where) {
	case GOES_ON:
		return TC_ON;
	case GOES_TO_STACK:
		return TC_OK;
	case GOES_TO_ENDPOINT:
		return s->hook == AT_STACK ? TC_OK : TC_REDIRECT;
	case GOES_BACK:
	case GOES_TO_WORLD:
		return TC_REDIRECT;
	default:
		return TC_SHOT;
	}
}

static uint32_t target_of(const struct step *s, const struct outcome *o)
{
	bool out = o->where == GOES_TO_WORLD || (o->where == GOES_BACK && s->hook == AT_UPLINK);

	return out ? UPLINK : cast_device(o->to);
}

/* Zero has two spellings in a checksum that was wrong before. */
static bool same_sum(const struct outcome *o, const struct frame *is, uint32_t at)
{
	const uint8_t *a = o->out.b + at, *b = is->b + at;

	return !memcmp(a, b, 2) ||
	       ((a[0] & a[1]) == (a[0] | a[1]) && (b[0] & b[1]) == (b[0] | b[1]) &&
		(a[0] == 0 || a[0] == 0xff) && (b[0] == 0 || b[0] == 0xff));
}

static struct id_way *way_of(struct ids *ids, const struct frame *is)
{
	uint32_t dst = get32(is->b + L3 + 16), n = 0;
	uint8_t proto = is->b[L3 + 9];

	while (n < ids->ways && (ids->way[n].dst != dst || ids->way[n].proto != proto))
		n++;
	if (n == ids->ways && n < ID_WAYS)
		ids->way[ids->ways++] = (struct id_way){ .dst = dst, .proto = proto };
	return n < ID_WAYS ? &ids->way[n] : NULL;
}

/*
 * The next after the last one of its destination and protocol. Two of these may share a count: then
 * what the other one took lies between.
 */
static bool counts_on(struct ids *ids, const struct frame *is, uint16_t id, uint16_t own)
{
	struct id_way *w = way_of(ids, is);
	uint16_t further = w ? (uint16_t)(id - w->last) : 0;
	bool right =
		!w || !w->own || (further >= w->own && further <= w->own + ids->taken - w->taken);

	ids->taken += own;
	if (w)
		*w = (struct id_way){ w->dst, w->proto, id, own, ids->taken };
	return right;
}

/* All pieces of a datagram go on with one id. */
static bool right_id(const struct outcome *o, const struct deed *d)
{
	uint16_t id = get16(d->result->out.b + L3 + 4);

	if (!o->new_id)
		return true;
	if (o->later)
		return d->ids->of_piece[o->later] == id;
	if (o->first)
		d->ids->of_piece[o->first] = id;
	return counts_on(d->ids, &d->result->out, id, (uint16_t)o->ids);
}

static bool same_bytes(const struct outcome *o, const struct deed *d, uint32_t *at)
{
	const struct frame *is = &d->result->out;
	struct outcome want = *o;
	struct frame copy;

	*at = o->out.len;
	if (is->len != o->out.len)
		return false;
	copy = *is;
	if (o->new_id)
		frame_change_bytes(&want.out, L3 + 10, L3 + 4, is->b + L3 + 4, 2);
	for (int i = 0; i < 4; i++)
		if (o->sums[i] && o->sums[i] + 2 <= copy.len && same_sum(&want, is, o->sums[i]))
			memcpy(copy.b + o->sums[i], want.out.b + o->sums[i], 2);
	for (*at = 0; *at < copy.len; ++*at)
		if (copy.b[*at] != want.out.b[*at])
			return false;
	*at = L3 + 4;
	return right_id(o, d);
}

bool judge_deed(const struct step *s, const struct outcome *o, const struct deed *d, char why[WHY])
{
	const struct result *r = d->result;
	char text[256];
	uint32_t at;

	if (judge_is_other(s, o, d))
		return true;
	say_counted(d, text, sizeof(text));
	if (r->verdict != verdict_of(s, o) || !counted(o, o->reason, d)) {
		snprintf(why, WHY,
			 "%s: it returned %d and counted%s; the model says %d, %s of slot %u, %s%s",
			 d->guard->name, r->verdict, *text ? text : " nothing", verdict_of(s, o),
			 o->where == GOES_ON ? "nothing" : reason_name(o->reason), o->slot,
			 o->dir ? "ingress" : "egress", o->also ? ", and its receiver's" : "");
		return false;
	}
	if (d->guard->user && r->verdict == TC_REDIRECT && r->target != target_of(s, o)) {
		snprintf(why, WHY, "%s: it went to device %u, not %u", d->guard->name, r->target,
			 target_of(s, o));
		return false;
	}
	if (r->verdict == TC_SHOT) {
		d->ids->taken += o->ids; /* of an error that was translated before it was denied */
		return true;
	}
	if (same_bytes(o, d, &at))
		return true;
	snprintf(why, WHY, "%s: byte %u of %u is %02x, in the model %02x of %u", d->guard->name, at,
		 r->out.len, r->out.b[at], o->out.b[at], o->out.len);
	return false;
}
