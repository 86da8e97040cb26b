// question: Which members of high clusters are still active?
// when: After a takedown, and before the next: who was forgotten?
// group: safeguards
// maturity: stable
// param: min_score float 0.5 Clusters of the newest run with a lower score are left out.
// columns: account_id, cluster_id, cluster_score, membership, harm_rate, label
// example: min_score=0.5
MATCH (r:Run)
WITH r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (a:Account)-[m:IN_CLUSTER]->(c:Cluster)
WHERE m.run_id = r.id AND c.score >= $min_score AND a.status = 'active'
RETURN a.id AS account_id,
       c.id AS cluster_id,
       c.score AS cluster_score,
       m.membership AS membership,
       a.harm_rate AS harm_rate,
       a.label AS label
ORDER BY cluster_score DESC, cluster_id, account_id
