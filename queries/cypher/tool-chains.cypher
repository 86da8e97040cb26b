// question: Which sequences of tools are repeated by the most accounts, and how many clusters?
// when: To find agents that run the same program from many accounts.
// group: prompts and agents
// maturity: stable
// param: min_accounts int 2 Chains of fewer accounts than this are left out.
// columns: chain, tools, accounts, clusters, accounts_in_clusters, first_seen, last_seen
// example: min_accounts=1
MATCH (r:Run)
WITH r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (a:Account)-[ran:RAN]->(t:ToolChain)
WITH r, t, a, min(ran.first_seen) AS first_run, max(ran.last_seen) AS last_run
OPTIONAL MATCH (a)-[m:IN_CLUSTER]->(c:Cluster)
WHERE m.run_id = r.id
WITH t,
     count(DISTINCT a.id) AS accounts,
     count(DISTINCT c.id) AS clusters,
     count(DISTINCT CASE WHEN c.id IS NOT NULL THEN a.id END) AS clustered,
     min(first_run) AS first_run,
     max(last_run) AS last_run
WHERE accounts >= $min_accounts
RETURN t.id AS chain,
       t.tools AS tools,
       accounts AS accounts,
       clusters AS clusters,
       clustered AS accounts_in_clusters,
       first_run AS first_seen,
       last_run AS last_seen
ORDER BY accounts DESC, chain
