// question: Which accounts do harm and are in no cluster?
// when: What the detector does not explain: single offenders, or an operation it has missed.
// group: safeguards
// maturity: stable
// param: min_harm float 0.2 Accounts of a lower harm rate are left out.
// param: min_events int 5 Accounts of fewer events are left out.
// columns: account_id, harm_rate, refused_rate, events, created_at, label, score
// example: min_harm=0.0
MATCH (r:Run)
WITH r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (a:Account)
WHERE a.harm_rate >= $min_harm AND a.events >= $min_events
  AND NOT EXISTS { MATCH (a)-[m:IN_CLUSTER]->(:Cluster) WHERE m.run_id = r.id }
RETURN a.id AS account_id,
       a.harm_rate AS harm_rate,
       a.refused_rate AS refused_rate,
       a.events AS events,
       a.created_at AS created_at,
       a.label AS label,
       a.score AS score
ORDER BY harm_rate DESC, account_id
