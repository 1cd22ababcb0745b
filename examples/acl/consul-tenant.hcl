# What a tenant (here: the Nomad namespace acme) needs of Consul: its own policies, and what became of them.
#   consul acl policy create -name picket-acme -rules @consul-tenant.hcl
key_prefix "picket/v1/default/policies/tenants/acme/" {
  policy = "write"
}
key_prefix "picket/v1/default/status/tenants/acme/" {
  policy = "read"
}
# Who changed which text into which, and the texts: written with the documents.
key_prefix "picket/v1/default/history/tenants/acme/" {
  policy = "write"
}
