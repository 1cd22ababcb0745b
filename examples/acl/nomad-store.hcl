# Beside nomad-picket.hcl where "store" is "nomad": what picketd asks of Nomad's Variables. Nodes' words and the operators'
# documents are in the namespace of "storeNamespace" (here the usual one, default).
#   nomad acl policy apply -description "Picket's store" picket-store nomad-store.hcl
#   nomad acl token create -type client -policy picket -policy picket-store -name picket
namespace "*" {
  variables {
    # The tenants' documents, each in its own namespace, and what became of them.
    path "picket/v1/default/policies/*" {
      capabilities = ["list", "read"]
    }
    path "picket/v1/default/status/tenants/*" {
      capabilities = ["list", "read", "write", "destroy"]
    }
  }
}
# A rule of a namespace stands in place of the one for all of them: what is above is said again here.
namespace "default" {
  capabilities = ["list-jobs", "read-job"]
  variables {
    path "picket/v1/default/*" {
      capabilities = ["list", "read"]
    }
    path "picket/v1/default/history/*" {
      capabilities = ["list"]
    }
    # What this node says of itself, its endpoints and what it enforces, and which blocks are whose.
    path "picket/v1/default/nodes/*" {
      capabilities = ["list", "read", "write", "destroy"]
    }
    path "picket/v1/default/tenants/*" {
      capabilities = ["list", "read", "write", "destroy"]
    }
    path "picket/v1/default/blocks/*" {
      capabilities = ["list", "read", "write", "destroy"]
    }
    path "picket/v1/default/status/nodes/*" {
      capabilities = ["list", "read", "write", "destroy"]
    }
  }
}
