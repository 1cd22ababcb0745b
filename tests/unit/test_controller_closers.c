/* SPDX-License-Identifier: Apache-2.0 */
/* Closers take NULL: what was never made is closed like the rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>

#include "controller/sync/apply.h"
#include "controller/node/audit.h"
#include "controller/model/by_address.h"
#include "consul.h"
#include "controller/sources/consul_set.h"
#include "controller/sources/consul_strays.h"
#include "controller/sources/consul_told.h"
#include "controller/sources/consul_told_keys.h"
#include "controller/sources/consul_watch.h"
#include "controller/documents/docs.h"
#include "controller/flows/events.h"
#include "controller/sources/files.h"
#include "controller/flows/flow_budget.h"
#include "controller/flows/flow_who.h"
#include "controller/flows/flowlog.h"
#include "controller/sources/http.h"
#include "controller/api/httpd.h"
#include "controller/documents/journal.h"
#include "controller/node/links.h"
#include "controller/api/listener.h"
#include "controller/model/local_endpoint.h"
#include "controller/loop.h"
#include "controller/memory.h"
#include "controller/model/model.h"
#include "controller/sources/nomad_reader.h"
#include "controller/sources/nomad_watch.h"
#include "controller/node/reaper.h"
#include "controller/model/records.h"
#include "controller/node/resolv_watch.h"
#include "controller/api/scrape.h"
#include "controller/node/sockets.h"
#include "controller/sync/sync.h"
#include "controller/systemd.h"
#include "controller/flows/traffic.h"
#include "controller/node/uplink_watch.h"
#include "controller/node/upkeep.h"

static void test_nothing_is_closed(void **state)
{
	(void)state;
	pk_apply_free(NULL);
	pk_audit_free(NULL);
	pk_by_address_free(NULL);
	pk_kv_reader_free(NULL);
	pk_consul_set_free(NULL);
	pk_consul_strays_free(NULL);
	pk_consul_told_free(NULL);
	pk_told_keys_free(NULL);
	pk_consul_free(NULL);
	pk_docs_free(NULL);
	pk_events_free(NULL);
	pk_files_free(NULL);
	pk_flow_budget_free(NULL);
	pk_flow_who_set_free(NULL);
	pk_flowlog_free(NULL);
	pk_http_free(NULL);
	pk_httpd_free(NULL);
	pk_journal_free(NULL);
	pk_links_free(NULL);
	pk_listener_free(NULL);
	pk_local_endpoint_free(NULL);
	pk_loop_free(NULL);
	pk_timer_free(NULL);
	pk_watch_free(NULL);
	pk_memory_free(NULL);
	pk_model_free(NULL);
	pk_alloc_reader_free(NULL);
	pk_node_reader_free(NULL);
	pk_nomad_free(NULL);
	pk_reaper_free(NULL);
	pk_records_free(NULL);
	pk_resolv_watch_free(NULL);
	pk_scrape_free(NULL);
	pk_sockets_free(NULL);
	pk_sync_free(NULL);
	pk_systemd_free(NULL);
	pk_traffic_free(NULL);
	pk_upkeep_free(NULL);
	pk_uplink_watch_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_nothing_is_closed) };

	return cmocka_run_group_tests_name("controller: closers", tests, NULL, NULL);
}
