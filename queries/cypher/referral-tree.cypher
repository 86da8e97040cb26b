// question: Whom did this account refer, and whom did they refer in turn?
// when: Referral rewards are drained, or an account brought suspects in.
// group: pivot
// maturity: stable
// param: account string - Id of the account at the root.
// columns: account_id, depth, created_at, label, score
// example: account=a1
MATCH tree = (a:Account {id: $account})-[:REFERRED*1..6]->(b:Account)
WHERE b.id <> $account
RETURN b.id AS account_id,
       min(length(tree)) AS depth,
       b.created_at AS created_at,
       b.label AS label,
       b.score AS score
ORDER BY depth, account_id
