// question: Which members of this cluster hang on it by the least?
// when: Before a proposal: candidates to be excluded, one by one and with a reason.
// group: cluster
// maturity: stable
// param: cluster string - Id of the cluster.
// param: max_membership float 0.8 Members of a higher membership are left out.
// columns: account_id, membership, ties, strongest_tie, harm_rate, label
// example: cluster=ring max_membership=0.8
MATCH (c:Cluster {id: $cluster})-[:OF_RUN]->(r:Run)
WITH c, r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (a:Account)-[m:IN_CLUSTER]->(c)
WHERE m.run_id = r.id AND m.membership <= $max_membership
OPTIONAL MATCH (a)-[tie:COORDINATED_WITH]-(b:Account)
WHERE tie.run_id = r.id
RETURN a.id AS account_id,
       m.membership AS membership,
       count(DISTINCT b.id) AS ties,
       max(tie.bits) AS strongest_tie,
       a.harm_rate AS harm_rate,
       a.label AS label
ORDER BY membership, account_id
