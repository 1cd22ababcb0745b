# What picketd asks of Consul: the policies of operators and tenants.
#   consul acl policy create -name picket -rules @consul-picket.hcl
#   consul acl token create -description "Picket's controllers" -policy-name picket
key_prefix "picket/" {
  policy = "read"
}
