# SPDX-License-Identifier: Apache-2.0
# Two web servers of one tenant, to see the fence work (docs/install.md). Process mode, as in process.nomad.hcl.
#
#   nomad job run examples/nomad/first.nomad.hcl

variable "driver" {
  description = "exec, or raw_exec where the clients have no control groups for it"
  type        = string
  default     = "exec"
}

job "first" {
  type = "service"

  group "web" {
    count = 2

    network {
      mode = "cni/picket"
    }

    task "web" {
      driver = var.driver
      config {
        command = "/usr/bin/python3"
        args    = ["-m", "http.server", "8080", "--directory", "${NOMAD_TASK_DIR}"]
      }
      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
