// question: Which pairs of accounts hold this cluster together, by how many bits and by what?
// when: A cluster is up for review: is it one knot, or two that hang by a thread?
// group: cluster
// maturity: stable
// param: cluster string - Id of the cluster.
// columns: account_id, other_id, bits, layers
// example: cluster=ring
MATCH (c:Cluster {id: $cluster})-[:OF_RUN]->(r:Run)
WITH c, r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (a:Account)-[m:IN_CLUSTER]->(c)
WHERE m.run_id = r.id
WITH c, r, collect(DISTINCT a.id) AS members
MATCH (a:Account)-[m:IN_CLUSTER]->(c)
WHERE m.run_id = r.id
MATCH (a)-[tie:COORDINATED_WITH]->(b:Account)
WHERE tie.run_id = r.id AND b.id IN members
RETURN a.id AS account_id,
       b.id AS other_id,
       tie.bits AS bits,
       tie.layers AS layers
ORDER BY bits DESC, account_id, other_id
