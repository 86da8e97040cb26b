// question: What is new in this cluster since a day: which entities did its members begin to use?
// when: Every week for clusters under watch, and after a takedown.
// group: time
// maturity: stable
// param: cluster string - Id of the cluster.
// param: since time - Uses that began before this are left out.
// columns: first_seen, account_id, entity, uses, account_is_new
// example: cluster=ring since=2026-03-08
MATCH (c:Cluster {id: $cluster})-[:OF_RUN]->(r:Run)
WITH c, r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (a:Account)-[m:IN_CLUSTER]->(c)
WHERE m.run_id = r.id
MATCH (a)-[used:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]->(x)
WHERE used.first_seen >= $since
RETURN used.first_seen AS first_seen,
       a.id AS account_id,
       x.token AS entity,
       used.count AS uses,
       coalesce(a.created_at >= $since, false) AS account_is_new
ORDER BY first_seen, account_id, entity
