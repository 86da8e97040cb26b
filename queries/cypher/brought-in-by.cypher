// question: Who referred or invited this account, and who brought them in?
// when: To find the account at the root of a tree.
// group: pivot
// maturity: stable
// param: account string - Id of the account.
// columns: account_id, depth, created_at, label, score
// example: account=a4
MATCH tree = (b:Account)-[:REFERRED|INVITED*1..6]->(a:Account {id: $account})
WHERE b.id <> $account
RETURN b.id AS account_id,
       min(length(tree)) AS depth,
       b.created_at AS created_at,
       b.label AS label,
       b.score AS score
ORDER BY depth, account_id
