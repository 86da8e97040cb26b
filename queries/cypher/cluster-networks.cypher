// question: From which networks do the members of this cluster come?
// when: Proxies scatter over networks; an office has one.
// group: cluster
// maturity: stable
// param: cluster string - Id of the cluster.
// columns: network, members, ips, uses, known_kind
// example: cluster=ring
MATCH (c:Cluster {id: $cluster})-[:OF_RUN]->(r:Run)
WITH c, r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (a:Account)-[m:IN_CLUSTER]->(c)
WHERE m.run_id = r.id
MATCH (a)-[used:USED_IP]->(x:Ip)-[:IN_NETWORK]->(n:Network)
RETURN n.cidr AS network,
       count(DISTINCT a.id) AS members,
       count(DISTINCT x.token) AS ips,
       sum(used.count) AS uses,
       max(x.kind) AS known_kind
ORDER BY members DESC, network
