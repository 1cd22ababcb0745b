# SPDX-License-Identifier: Apache-2.0
# Process mode: the tasks are the endpoint. The operator's conflist of the network `picket` has "mode": "process"; Nomad starts the
# tasks (exec, docker, java, raw_exec) in the allocation's network namespace, whose eth0 the fence guards.
#
#   nomad job run examples/nomad/process.nomad.hcl

job "worker" {
  type = "service"

  group "worker" {
    network {
      mode = "cni/picket"
    }

    task "worker" {
      driver = "exec"
      config {
        command = "/bin/sleep"
        args    = ["infinity"]
      }
      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
