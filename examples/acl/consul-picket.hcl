# What picketd asks of Consul: the policies of operators and tenants.
#   consul acl policy create -name picket -rules @consul-picket.hcl
#   consul acl token create -description "Picket's controllers" -policy-name picket
key_prefix "picket/" {
  policy = "read"
}
# What became of tenants' documents, and which this node enforces (under the session below), is told below this; without
# it picketd's log says so once.
key_prefix "picket/v1/default/status/" {
  policy = "write"
}
# With "services": which instances of them there are, and what their checks say. Instances that the token may not see
# would seem to be none, so such an answer is not taken.
service_prefix "" {
  policy = "read"
}
node_prefix "" {
  policy = "read"
}
# With "fabric": what this node says of itself and its endpoints, under its session.
key_prefix "picket/v1/default/nodes/" {
  policy = "write"
}
key_prefix "picket/v1/default/tenants/" {
  policy = "write"
}
# With "blocks": { "claim": true }: which blocks are whose.
key_prefix "picket/v1/default/blocks/" {
  policy = "write"
}
# The session of this node: it is there for as long as its picketd lives.
session_prefix "" {
  policy = "write"
}
