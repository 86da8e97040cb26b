// question: Which accounts send prompts of this family?
// when: A family is harmful: who uses it, since when?
// group: prompts and agents
// maturity: stable
// param: family string - Id of the prompt family.
// columns: account_id, prompts, first_seen, last_seen, harm_rate, label, cluster_id
// example: family=p1
MATCH (r:Run)
WITH r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (p:PromptFamily {id: $family})<-[sent:SENT]-(a:Account)
OPTIONAL MATCH (a)-[m:IN_CLUSTER]->(c:Cluster)
WHERE m.run_id = r.id
RETURN a.id AS account_id,
       sent.count AS prompts,
       sent.first_seen AS first_seen,
       sent.last_seen AS last_seen,
       a.harm_rate AS harm_rate,
       a.label AS label,
       c.id AS cluster_id
ORDER BY first_seen, account_id, cluster_id
