# SPDX-License-Identifier: Apache-2.0
"""Real Nomad, real Consul, real microVMs: the steps of demo/nomad_story.py, in order."""
import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../../demo"), os.path.join(HERE, "..")]

from harness.ways import nomad_and_consul  # noqa: E402
from nomad_story import Story  # noqa: E402


@pytest.fixture(scope="module")
def story():
    nomad, consul = nomad_and_consul()
    told = Story(nomad, consul)
    yield told
    told.close()


def test_agents_start(story):
    story.start()


def test_job_run_boots_microvms_with_leased_addresses(story):
    story.run_jobs()


def test_tenants_are_fenced(story):
    story.tenants_are_fenced()


def test_the_world_is_reached_and_reaches_published_ports(story):
    story.world_and_back()


def test_policy_from_consul_opens_and_closes(story):
    story.policy_in_consul()


def test_agent_restart_loses_no_packet(story):
    story.agent_restart()


def test_job_stop_removes_endpoints(story):
    story.job_stop()


def test_reboot_restores_what_nomad_restarts(story):
    story.reboot()


def test_nothing_is_left(story):
    story.nothing_left()
