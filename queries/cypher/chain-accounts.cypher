// question: Which accounts run this tool chain?
// when: A chain is harmful: who runs it, since when?
// group: prompts and agents
// maturity: stable
// param: chain string - Id of the tool chain.
// columns: account_id, runs, first_seen, last_seen, status, label, score
// example: chain=t1
MATCH (t:ToolChain {id: $chain})<-[ran:RAN]-(a:Account)
RETURN a.id AS account_id,
       ran.count AS runs,
       ran.first_seen AS first_seen,
       ran.last_seen AS last_seen,
       a.status AS status,
       a.label AS label,
       a.score AS score
ORDER BY first_seen, account_id
