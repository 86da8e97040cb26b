// question: Which families of near-duplicate prompts are spread over the most accounts, and how many clusters?
// when: To find templates that one operator sends from many accounts, and to tell them from prompts that went viral.
// group: prompts and agents
// maturity: stable
// param: min_accounts int 2 Families of fewer accounts than this are left out.
// columns: family, accounts, clusters, accounts_in_clusters, prompts, harm_rate, first_seen, last_seen
// example: min_accounts=2
MATCH (r:Run)
WITH r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (a:Account)-[sent:SENT]->(p:PromptFamily)
WITH r, p, a, min(sent.first_seen) AS first_sent, max(sent.last_seen) AS last_sent
OPTIONAL MATCH (a)-[m:IN_CLUSTER]->(c:Cluster)
WHERE m.run_id = r.id
WITH p,
     count(DISTINCT a.id) AS accounts,
     count(DISTINCT c.id) AS clusters,
     count(DISTINCT CASE WHEN c.id IS NOT NULL THEN a.id END) AS clustered,
     min(first_sent) AS first_sent,
     max(last_sent) AS last_sent
WHERE accounts >= $min_accounts
RETURN p.id AS family,
       accounts AS accounts,
       clusters AS clusters,
       clustered AS accounts_in_clusters,
       p.prompts AS prompts,
       p.harm_rate AS harm_rate,
       first_sent AS first_seen,
       last_sent AS last_seen
ORDER BY accounts DESC, family
