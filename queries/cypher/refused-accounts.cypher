// question: Which accounts are refused most often?
// when: Who tries the safeguards, alone or in a group?
// group: safeguards
// maturity: stable
// param: min_refused float 0.2 Accounts of a lower rate of refusals are left out.
// param: min_events int 5 Accounts of fewer events are left out.
// columns: account_id, refused_rate, events, status, label, cluster_id, cluster_score
// example: min_refused=0.2
MATCH (r:Run)
WITH r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (a:Account)
WHERE a.refused_rate >= $min_refused AND a.events >= $min_events
OPTIONAL MATCH (a)-[m:IN_CLUSTER]->(c:Cluster)
WHERE m.run_id = r.id
RETURN a.id AS account_id,
       a.refused_rate AS refused_rate,
       a.events AS events,
       a.status AS status,
       a.label AS label,
       c.id AS cluster_id,
       c.score AS cluster_score
ORDER BY refused_rate DESC, account_id, cluster_id
