// question: Which accounts that are known as benign are in a high cluster?
// when: Before any decision: these would be hit by mistake, or the label is wrong.
// group: safeguards
// maturity: stable
// param: min_score float 0 Clusters of the newest run with a lower score are left out.
// columns: account_id, cluster_id, cluster_score, abuse, membership, harm_rate
// example:
MATCH (r:Run)
WITH r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (a:Account)-[m:IN_CLUSTER]->(c:Cluster)
WHERE m.run_id = r.id AND c.score >= $min_score AND a.label = 'benign'
RETURN a.id AS account_id,
       c.id AS cluster_id,
       c.score AS cluster_score,
       c.abuse AS abuse,
       m.membership AS membership,
       a.harm_rate AS harm_rate
ORDER BY cluster_score DESC, account_id
