// question: Which customers have accounts in clusters, and what part of all their accounts is that?
// when: To tell a customer that is an operation from one that has a bad apple.
// group: organization
// maturity: stable
// param: min_accounts int 2 Customers of fewer accounts in clusters are left out.
// columns: org_id, accounts, accounts_in_clusters, clusters, highest_cluster_score
// example: min_accounts=2
MATCH (r:Run)
WITH r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (o:Organization)<-[:MEMBER_OF]-(a:Account)
OPTIONAL MATCH (a)-[m:IN_CLUSTER]->(c:Cluster)
WHERE m.run_id = r.id
WITH o,
     count(DISTINCT a.id) AS accounts,
     count(DISTINCT CASE WHEN c.id IS NOT NULL THEN a.id END) AS clustered,
     count(DISTINCT c.id) AS clusters,
     max(c.score) AS highest_score
WHERE clustered >= $min_accounts
RETURN o.id AS org_id,
       accounts AS accounts,
       clustered AS accounts_in_clusters,
       clusters AS clusters,
       highest_score AS highest_cluster_score
ORDER BY accounts_in_clusters DESC, org_id
