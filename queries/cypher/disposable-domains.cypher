// question: Which clusters have accounts with throw-away email domains, and which domains?
// when: To find operations that make mailboxes by the dozen.
// group: safeguards
// maturity: stable
// param: min_accounts int 1 Domains with fewer accounts in the cluster are left out.
// columns: cluster_id, domain, accounts, cluster_size, cluster_score
// example: min_accounts=2
MATCH (r:Run)
WITH r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (a:Account)-[m:IN_CLUSTER]->(c:Cluster)
WHERE m.run_id = r.id
MATCH (a)-[:HAS_EMAIL]->(:Email)-[:AT_DOMAIN]->(d:EmailDomain)
WHERE d.disposable
WITH c, d, count(DISTINCT a.id) AS accounts
WHERE accounts >= $min_accounts
RETURN c.id AS cluster_id,
       d.domain AS domain,
       accounts AS accounts,
       c.size AS cluster_size,
       c.score AS cluster_score
ORDER BY accounts DESC, cluster_id, domain
