// question: What do members of this cluster share, and how many others use it too?
// when: A cluster is up for review: what holds it together, and would strangers have that as well?
// group: cluster
// maturity: stable
// param: cluster string - Id of the cluster.
// columns: entity, members, others, first_seen, last_seen, known_kind
// example: cluster=ring
MATCH (c:Cluster {id: $cluster})-[:OF_RUN]->(r:Run)
WITH c, r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (a:Account)-[m:IN_CLUSTER]->(c)
WHERE m.run_id = r.id
MATCH (a)-[used:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]->(x)
WITH x,
     count(DISTINCT a.id) AS members,
     min(used.first_seen) AS first_used,
     max(used.last_seen) AS last_used
WHERE members >= 2
OPTIONAL MATCH (x)<-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(b:Account)
WITH x, members, first_used, last_used, count(b) AS accounts
RETURN x.token AS entity,
       members AS members,
       accounts - members AS others,
       first_used AS first_seen,
       last_used AS last_seen,
       x.kind AS known_kind
ORDER BY members DESC, others, entity
