// question: Who is in this cluster, and how strongly?
// when: A cluster is up for review.
// group: cluster
// maturity: stable
// param: cluster string - Id of the cluster.
// columns: account_id, membership, score, label, status, created_at, events, harm_rate, refused_rate
// example: cluster=ring
MATCH (c:Cluster {id: $cluster})-[:OF_RUN]->(r:Run)
WITH c, r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (a:Account)-[m:IN_CLUSTER]->(c)
WHERE m.run_id = r.id
RETURN a.id AS account_id,
       m.membership AS membership,
       a.score AS score,
       a.label AS label,
       a.status AS status,
       a.created_at AS created_at,
       a.events AS events,
       a.harm_rate AS harm_rate,
       a.refused_rate AS refused_rate
ORDER BY membership DESC, account_id
