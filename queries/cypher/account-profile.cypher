// question: Who is this account, and what does the newest run say of it?
// when: First of all questions about an account.
// group: pivot
// maturity: stable
// param: account string - Id of the account.
// columns: account_id, created_at, status, country, plan, label, events, harm_rate, refused_rate, score, cluster_id, cluster_score, membership
// example: account=a1
MATCH (r:Run)
WITH r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (a:Account {id: $account})
OPTIONAL MATCH (a)-[m:IN_CLUSTER]->(c:Cluster)
WHERE m.run_id = r.id
RETURN a.id AS account_id,
       a.created_at AS created_at,
       a.status AS status,
       a.country AS country,
       a.plan AS plan,
       a.label AS label,
       a.events AS events,
       a.harm_rate AS harm_rate,
       a.refused_rate AS refused_rate,
       a.score AS score,
       c.id AS cluster_id,
       c.score AS cluster_score,
       m.membership AS membership
ORDER BY account_id, cluster_id
