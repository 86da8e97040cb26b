// question: Which accounts send prompts like this account's?
// when: To find accounts that share words and nothing else.
// group: prompts and agents
// maturity: stable
// param: account string - Id of the account.
// columns: other_id, similarity, families, status, label, score
// example: account=a1
MATCH (a:Account {id: $account})-[like:PROMPT_SIMILAR]-(b:Account)
RETURN b.id AS other_id,
       like.score AS similarity,
       like.families AS families,
       b.status AS status,
       b.label AS label,
       b.score AS score
ORDER BY similarity DESC, other_id
