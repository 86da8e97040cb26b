// question: With which accounts does the evidence tie this one, by how many bits and by what?
// when: An account is under suspicion: whom does it run with, and why is that believed?
// group: pivot
// maturity: stable
// param: account string - Id of the account.
// columns: other_id, bits, layers, status, label, score, cluster_id
// example: account=a1
MATCH (r:Run)
WITH r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (a:Account {id: $account})-[tie:COORDINATED_WITH]-(b:Account)
WHERE tie.run_id = r.id
OPTIONAL MATCH (b)-[m:IN_CLUSTER]->(c:Cluster)
WHERE m.run_id = r.id
RETURN b.id AS other_id,
       tie.bits AS bits,
       tie.layers AS layers,
       b.status AS status,
       b.label AS label,
       b.score AS score,
       c.id AS cluster_id
ORDER BY bits DESC, other_id
