# What a tenant (here: the namespace acme) needs of Nomad for its own documents and their history where "store" is
# "nomad" (`picket policy apply -nomad -namespace acme`), and to read what became of them.
#   nomad acl policy apply picket-acme nomad-tenant.hcl
namespace "acme" {
  variables {
    path "picket/v1/default/policies/tenants/acme/*" {
      capabilities = ["list", "read", "write", "destroy"]
    }
    path "picket/v1/default/history/tenants/acme/*" {
      capabilities = ["list", "read", "write", "destroy"]
    }
    path "picket/v1/default/status/tenants/acme/*" {
      capabilities = ["list", "read"]
    }
  }
}
