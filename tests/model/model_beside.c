// SPDX-License-Identifier: Apache-2.0
/* What a tap's writer says beside the bytes: checksums and segments that others finish. */
#include "tests/model/state.h"

/* No segment is shorter than what an honest path has, and none too many are cut. */
static bool is_sane_size(const struct seen *s, uint32_t size)
{
	if (s->proto == 6)
		return size >= (s->kind == KIND_V4 ? 422 : 1180);
	return s->proto == 17 && s->payload <= size * 128;
}

static bool is_sane_type(const struct seen *s, uint32_t type)
{
	type &= ~(uint32_t)(GSO_DODGY | GSO_ECN);
	if (s->proto == 17)
		return type == GSO_UDP;
	return type == (s->kind == KIND_V4 ? GSO_TCP4 : GSO_TCP6);
}

/* What the tap's writer said beside the bytes is what the bytes say. */
enum pk_reason beside_read(const struct walk *k)
{
	const struct beside *b = &k->step->beside;
	const struct seen *s = &k->seen;

	if (b->gso && (!is_sane_size(s, b->gso) || !is_sane_type(s, b->gso_type)))
		return PK_REASON_GSO;
	if (b->partial &&
	    (s->kind == KIND_ARP || b->sum_start != s->l4 ||
	     !((s->proto == 6 && b->sum_offset == 16) || (s->proto == 17 && b->sum_offset == 6))))
		return PK_REASON_CHECKSUM;
	/* Who lets others cut a packet up lets them finish its checksums. */
	return b->gso && !b->partial ? PK_REASON_GSO : PK_REASON_OK;
}

/* The longest packet that will be on the wire; what pads the frame counts. */
bool beside_fits(const struct walk *k, uint32_t mtu)
{
	const struct seen *s = &k->seen;

	if (k->step->beside.gso)
		return s->l3_len - s->payload + k->step->beside.gso <= mtu;
	return k->frame->len <= mtu + L3;
}

/* A frame that is to be cut up is not padded. */
enum pk_reason beside_length(const struct walk *k, uint32_t mtu)
{
	if (k->step->beside.gso && k->seen.l3_len != k->frame->len - L3)
		return PK_REASON_LENGTH;
	return beside_fits(k, mtu) ? PK_REASON_OK : PK_REASON_LENGTH;
}
