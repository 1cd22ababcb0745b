# SPDX-License-Identifier: Apache-2.0
# Picket itself, for fleets that deploy by Nomad: it brings the tarball to every client, installs or updates it, names the network
# and runs picketd. What happens at a stop, an update, a drain and a boot: docs/install.md, "By Nomad: a system job".
#
# Each client has its own block of addresses: client { meta { picket_pool = "10.40.7.0/24" } }, and the driver raw_exec.
#
#   nomad job run -var tarball=https://example.com/picket-1.0.0-linux-amd64.tar.gz examples/nomad/picket.nomad.hcl

variable "tarball" {
  description = "where clients fetch the tarball from (`make tarball`), over HTTP; a query `?checksum=sha256:…` holds it to its bytes"
  type        = string
}

variable "mode" {
  description = "of the network `picket`: vm or process"
  type        = string
  default     = "vm"
}

job "picket" {
  type     = "system"
  priority = 100

  constraint {
    attribute = "${meta.picket_pool}"
    operator  = "is_set"
  }

  update {
    max_parallel = 1
    stagger      = "30s"
  }

  group "picket" {
    restart {
      attempts = 10
      interval = "1m"
      delay    = "2s"
      mode     = "delay"
    }

    task "install" {
      driver = "raw_exec"
      lifecycle {
        hook = "prestart"
      }
      artifact {
        source      = var.tarball
        destination = "local/unpacked"
      }
      template {
        destination = "local/picket.conflist"
        data        = <<-END
          {
            "cniVersion": "1.0.0",
            "name": "picket",
            "plugins": [
              {
                "type": "picket",
                "mode": "${var.mode}",
                "pool": "{{ env "meta.picket_pool" }}",
                "capabilities": { "portMappings": true }
              }
            ]
          }
        END
      }
      # Nomad's agent reads the network's file again where that is another one.
      template {
        destination = "local/install"
        perms       = "755"
        data        = <<-END
          #!/bin/sh
          set -eu
          "$NOMAD_TASK_DIR"/unpacked/picket-*/install.sh -no-service
          conflist=/opt/cni/config/picket.conflist
          if ! cmp -s "$NOMAD_TASK_DIR/picket.conflist" "$conflist"; then
            mkdir -p /opt/cni/config
            cp "$NOMAD_TASK_DIR/picket.conflist" "$conflist.new"
            mv "$conflist.new" "$conflist"
            systemctl reload nomad
          fi
        END
      }
      config {
        command = "local/install"
      }
      resources {
        cpu    = 100
        memory = 64
      }
    }

    task "picketd" {
      driver = "raw_exec"
      config {
        command = "/opt/picket/sbin/picketd"
      }
      kill_timeout = "10s"
      resources {
        cpu    = 100
        memory = 128
      }
    }
  }
}
