// question: Which entities do members of this cluster share with members of other clusters?
// when: To see whether two clusters are one organization.
// group: cluster
// maturity: stable
// param: cluster string - Id of the cluster.
// columns: other_cluster, entity, members, other_members, known_kind
// example: cluster=ring
MATCH (c:Cluster {id: $cluster})-[:OF_RUN]->(r:Run)
WITH c, r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (a:Account)-[m:IN_CLUSTER]->(c)
WHERE m.run_id = r.id
MATCH (a)-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]->(x)
WITH r.id AS run, collect(DISTINCT x.token) AS tokens
MATCH (b:Account)-[n:IN_CLUSTER]->(d:Cluster)
WHERE n.run_id = run AND d.id <> $cluster
MATCH (b)-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]->(x)
WHERE x.token IN tokens
WITH run, d.id AS other, x.token AS token, x.kind AS kind, count(DISTINCT b.id) AS others
MATCH (a:Account)-[m:IN_CLUSTER]->(c:Cluster {id: $cluster})
WHERE m.run_id = run
MATCH (a)-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]->(x)
WHERE x.token = token
RETURN other AS other_cluster,
       token AS entity,
       count(DISTINCT a.id) AS members,
       others AS other_members,
       kind AS known_kind
ORDER BY other_members DESC, other_cluster, entity
