/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes the reasons of status that are of endpoints, their allocations and the agent that starts
 * them.
 */
#include "api_reasons.h"

#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "guard.h"
#include "own.h"

#define ALLOCS_SAID 8

void pk_api_reason(struct pk_reasons *r, bool failing, const char *what, const char *text,
		   const char *fix)
{
	r->degraded = true;
	r->failing |= failing;
	if (r->said)
		r->said(r->arg, what);
	pk_jw_open(r->w, NULL, '{');
	pk_jw_string(r->w, "what", what);
	pk_jw_string(r->w, "text", text);
	pk_jw_string(r->w, "fix", fix && *fix ? fix : NULL);
	pk_jw_close(r->w, '}');
}

/*
 * Says that Nomad is older than 1.9.4: each endpoint then waits in quarantine for Nomad's record.
 */
static void agent_reason(const struct pk_parts *p, struct pk_reasons *r)
{
	const struct pk_settings *s = &p->config->settings;
	enum pk_args_word word = pk_settings_args_word(s);
	char text[256];

	if (!p->nomad || word == PK_ARGS_BELIEVED ||
	    pk_nomad_source(p->nomad)->state != PK_SOURCE_OK)
		return;
	if (word == PK_ARGS_OF_AUTHOR)
		snprintf(text, sizeof(text),
			 "Nomad's agent is of version %s, which gives plugins no namespace",
			 s->nomad_version);
	else
		snprintf(text, sizeof(text), "Nomad says no version of this node's agent: \"%s\"",
			 s->nomad_version);
	strcat(text, ": endpoints start in quarantine, until its record of their allocation comes");
	pk_api_reason(r, false, "nomad", text, "run Nomad 1.9.4 or later on this node");
}

const char *pk_api_alloc_trouble(const struct pk_parts *p, const struct pk_local_endpoint *ep)
{
	const struct pk_alloc *alloc = pk_model_find_alloc(p->model, ep->container_id);

	return alloc && alloc->refused ? alloc->refused : pk_local_endpoint_labels_refused(ep);
}

/*
 * Says which endpoints lost their device. A task's own root can delete eth0: then nothing passes,
 * and only a new netns mends it.
 */
static void device_reasons(const struct pk_parts *p, struct pk_reasons *r,
			   const struct pk_api_endpoints *n)
{
	const struct pk_local_endpoint *ep;
	unsigned int said = 0;

	for (size_t i = 0; n->gone && said < ALLOCS_SAID && (ep = pk_model_at(p->model, i)); i++) {
		own_str name = { 0 }, text = { 0 };

		if (!ep->open || !ep->epoch_matches || ep->declared || !pk_guard_is_gone(ep))
			continue;
		said++;
		pk_local_endpoint_name(ep, &name);
		pk_str_addf(&text,
			    "%.200s (%.64s) has no device: %s is gone, and its record and netns "
			    "are not",
			    name.text, ep->container_id, ep->device);
		pk_api_reason(r, false, "device", text.text,
			      "stop the allocation and start it anew");
	}
}

static const struct pk_local_endpoint *first_quarantined(const struct pk_parts *p)
{
	const struct pk_local_endpoint *ep = pk_model_next(p->model, NULL);

	while (ep && !(ep->open && ep->epoch_matches && pk_local_endpoint_quarantined(ep) &&
		       pk_api_is_settled(ep)))
		ep = pk_model_next(p->model, ep);
	return ep;
}

static void quarantine_reason(const struct pk_parts *p, struct pk_reasons *r,
			      const struct pk_api_settled *n)
{
	const struct pk_local_endpoint *first = n->quarantined ? first_quarantined(p) : NULL;
	char text[512];
	struct pk_err why;

	if (!first || !pk_local_endpoint_quarantine(first, &why))
		return;
	if (n->quarantined == n->open)
		snprintf(text, sizeof(text),
			 "all %u endpoints are in quarantine, the first: %.400s", n->open,
			 why.text);
	else
		snprintf(text, sizeof(text),
			 "%u of %u endpoints in quarantine, the first (%.64s): %.300s",
			 n->quarantined, n->open, first->container_id, why.text);
	pk_api_reason(r, false, "endpoints", text, why.fix);
}

/*
 * Says which endpoints are closed by their words alone: a DEL could not write it down, or the guard
 * isn't the first at its device.
 */
static void shut_reason(const struct pk_parts *p, struct pk_reasons *r,
			const struct pk_api_settled *n)
{
	const struct pk_local_endpoint *ep;
	char text[256];

	if (!n->shut)
		return;
	for (size_t i = 0; (ep = pk_model_at(p->model, i)); i++)
		if (pk_api_is_settled(ep) && pk_api_is_shut(p, ep))
			break;
	if (!ep)
		return;
	snprintf(text, sizeof(text),
		 "%u of %u endpoints closed, though the record says open: nothing passes; the "
		 "first: %.64s",
		 n->shut, n->open, ep->container_id);
	pk_api_reason(r, false, "endpoints", text,
		      "where its allocation is over, DEL could not write that down: see that the "
		      "state directory's disk can be written, and picketd's sweep removes it; else "
		      "stop the allocation and start it anew");
}

static void endpoint_reasons(const struct pk_parts *p, struct pk_reasons *r,
			     const struct pk_api_settled *n)
{
	char text[512];

	quarantine_reason(p, r, n);
	if (n->open && n->unconfirmed == n->open && n->quarantined < n->open) {
		snprintf(text, sizeof(text),
			 "Nomad has confirmed none of %u endpoints: they live under their "
			 "namespace's base",
			 n->open);
		pk_api_reason(
			r, false, "endpoints", text,
			"see that \"nomad\" names the agent of this very client, and its token's "
			"rights (docs/install.md)");
	}
	if (n->shut)
		shut_reason(p, r, n);
	if (!n->behind)
		return;
	snprintf(text, sizeof(text),
		 "%u of %u open endpoints are not under what the documents make now: they stay as "
		 "they were",
		 n->behind, n->open);
	pk_api_reason(
		r, false, "endpoints", text,
		"the other reasons say why; picket endpoint list shows which, picket policy list "
		"what is not enforced");
}

/*
 * Returns whether the endpoint's device is there. After a reboot, the device of that name and
 * number may be a new endpoint's.
 */
static bool has_device(const struct pk_parts *p, const struct pk_local_endpoint *ep)
{
	char name[IF_NAMESIZE];

	if (!if_indextoname(ep->host_ifindex, name) || strcmp(name, ep->device) != 0)
		return false;
	for (const struct pk_local_endpoint *other = pk_model_next(p->model, NULL); other;
	     other = pk_model_next(p->model, other))
		if (other->epoch_matches && other->host_ifindex == ep->host_ifindex)
			return false;
	return true;
}

/*
 * Says which endpoints live on tables that were replaced (bpffs was unmounted, everything was
 * swept): nobody can change those.
 */
static void epoch_reason(const struct pk_parts *p, struct pk_reasons *r,
			 const struct pk_api_endpoints *counts)
{
	const struct pk_local_endpoint *ep;
	own_str text = { 0 };
	unsigned int n = 0;

	for (size_t i = 0; counts->elsewhere && (ep = pk_model_at(p->model, i)); i++)
		n += pk_sync_bpf(p->sync) && ep->open && !ep->epoch_matches && has_device(p, ep);
	if (!n)
		return;
	pk_str_addf(&text,
		    "%u endpoint%s on tables that are not pinned any more: no change of policy "
		    "reaches %s",
		    n, n == 1 ? " lives" : "s live", n == 1 ? "it" : "them");
	pk_api_reason(
		r, true, "enforcement", text.text,
		"stop the allocations that `picket endpoint list` shows as closed and start them "
		"anew");
}

/*
 * Returns whether the endpoint is from before a reboot: Nomad still runs its allocation, and no ADD
 * has come.
 */
static bool is_without_network(const struct pk_parts *p, const struct pk_local_endpoint *ep)
{
	return ep->open && ep->of_before && pk_api_is_settled(ep) &&
	       pk_nomad_source(p->nomad)->state == PK_SOURCE_OK &&
	       pk_model_has_alloc(p->model, ep->container_id) && !has_device(p, ep);
}

static void reboot_reason(const struct pk_parts *p, struct pk_reasons *r,
			  const struct pk_api_endpoints *counts)
{
	const bool settled = pk_loop_now(p->loop) - p->started_ms >= PK_API_SETTLED_S * 1000;
	const struct pk_local_endpoint *first = NULL, *ep;
	own_str text = { 0 };
	unsigned int n = 0;

	for (size_t i = 0;
	     counts->of_before && p->nomad && settled && (ep = pk_model_at(p->model, i)); i++)
		if (is_without_network(p, ep)) {
			first = first ?: ep;
			n++;
		}
	if (!n)
		return;
	pk_str_addf(
		&text,
		"%u alloc%s that Nomad runs %s without a network since a reboot, the first: %.64s",
		n, n == 1 ? "" : "s", n == 1 ? "is" : "are", first->container_id);
	pk_api_reason(r, false, "netns", text.text,
		      "nomad alloc stop: the next one gets a network. With the reference plugin "
		      "\"bridge\" of 1.3.0 or later in its cni_path Nomad does that by itself");
}

/* Returns whether a reboot, or whoever deleted its netns, ended what `picket attach` made. */
static bool is_to_attach_again(const struct pk_parts *p, const struct pk_local_endpoint *ep)
{
	if (!ep->open || !ep->declared)
		return false;
	return ep->of_before ? !has_device(p, ep) : ep->epoch_matches && pk_guard_is_gone(ep);
}

static void declared_reason(const struct pk_parts *p, struct pk_reasons *r,
			    const struct pk_api_endpoints *counts)
{
	const struct pk_local_endpoint *first = NULL, *ep;
	own_str text = { 0 };
	unsigned int n = 0;

	for (size_t i = 0; (counts->gone || counts->of_before) && (ep = pk_model_at(p->model, i));
	     i++)
		if (is_to_attach_again(p, ep)) {
			first = first ?: ep;
			n++;
		}
	if (!n)
		return;
	pk_str_addf(&text,
		    "%u endpoint%s by picket attach %s no device any more, since a reboot or "
		    "without its netns, the first: %.128s",
		    n, n == 1 ? "" : "s", n == 1 ? "has" : "have", first->container_id);
	pk_api_reason(r, false, "netns", text.text,
		      "picket attach it again, with the same address, or picket detach it");
}

/* Says which allocations say things of themselves that can't be used; their authors mend that. */
static void alloc_reasons(const struct pk_parts *p, struct pk_reasons *r,
			  const struct pk_api_endpoints *n)
{
	const struct pk_local_endpoint *ep;
	unsigned int said = 0;

	for (size_t i = 0; n->troubled && said < ALLOCS_SAID && (ep = pk_model_at(p->model, i));
	     i++) {
		const char *why = pk_api_alloc_trouble(p, ep);
		own_str text = { 0 };

		if (!why)
			continue;
		said++;
		pk_str_addf(&text,
			    "the record of alloc %.64s is not used: %.300s; its endpoint keeps "
			    "the labels that it had, or its base's",
			    ep->container_id, why);
		pk_api_reason(r, false, "alloc", text.text,
			      "its job's author must shorten or mend it");
	}
}

void pk_api_endpoint_reasons(const struct pk_parts *p, struct pk_reasons *r,
			     const struct pk_api_endpoints *counts)
{
	agent_reason(p, r);
	alloc_reasons(p, r, counts);
	device_reasons(p, r, counts);
	epoch_reason(p, r, counts);
	reboot_reason(p, r, counts);
	declared_reason(p, r, counts);
	endpoint_reasons(p, r, &counts->settled);
}
