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
WITH c, r, x, count(DISTINCT a.id) AS members
MATCH (x)<-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(b:Account)
MATCH (b)-[n:IN_CLUSTER]->(d:Cluster)
WHERE n.run_id = r.id AND d.id <> c.id
RETURN d.id AS other_cluster,
       x.token AS entity,
       members AS members,
       count(DISTINCT b.id) AS other_members,
       x.kind AS known_kind
ORDER BY other_members DESC, other_cluster, entity
