// question: Which accounts have an org_id of this organization's members and are in no cluster?
// when: Before a takedown: who of the same customer was not found to be of any operation.
// group: organization
// maturity: stable
// param: organization string - Id of the inferred organization.
// columns: account_id, org_id, members, status, label, harm_rate, score
// example: organization=s1
MATCH (r:Run)
WITH r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (a:Account)-[m:IN_CLUSTER]->(:Cluster)-[:PART_OF]->(:Syndicate {id: $organization})
WHERE m.run_id = r.id
MATCH (a)-[:MEMBER_OF]->(o:Organization)
WITH r, o, count(DISTINCT a.id) AS members
MATCH (b:Account)-[:MEMBER_OF]->(o)
WHERE NOT EXISTS { MATCH (b)-[n:IN_CLUSTER]->(:Cluster) WHERE n.run_id = r.id }
RETURN b.id AS account_id,
       o.id AS org_id,
       members AS members,
       b.status AS status,
       b.label AS label,
       b.harm_rate AS harm_rate,
       b.score AS score
ORDER BY account_id, org_id
