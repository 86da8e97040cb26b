// question: Who sends money or credits to whom, out of this cluster and into it?
// when: To find where the proceeds of a cluster go, and who pays for it.
// group: cluster
// maturity: stable
// param: cluster string - Id of the cluster.
// columns: from_id, to_id, transfers, amount, first_seen, last_seen, to_cluster
// example: cluster=ring
MATCH (c:Cluster {id: $cluster})-[:OF_RUN]->(r:Run)
WITH c, r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (a:Account)-[sent:TRANSFERRED_TO]->(b:Account)
WHERE EXISTS { MATCH (a)-[m:IN_CLUSTER]->(c) WHERE m.run_id = r.id }
   OR EXISTS { MATCH (b)-[m:IN_CLUSTER]->(c) WHERE m.run_id = r.id }
OPTIONAL MATCH (b)-[n:IN_CLUSTER]->(d:Cluster)
WHERE n.run_id = r.id
RETURN a.id AS from_id,
       b.id AS to_id,
       sent.count AS transfers,
       sent.amount AS amount,
       sent.first_seen AS first_seen,
       sent.last_seen AS last_seen,
       d.id AS to_cluster
ORDER BY from_id, to_id
