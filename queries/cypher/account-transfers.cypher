// question: With whom did this account exchange money or credits?
// when: Proceeds, or who pays for whom.
// group: pivot
// maturity: stable
// param: account string - Id of the account.
// columns: other_id, sent, sent_amount, received, received_amount, label, score
// example: account=a2
MATCH (a:Account {id: $account})-[:TRANSFERRED_TO]-(b:Account)
WITH DISTINCT a, b
OPTIONAL MATCH (a)-[sent:TRANSFERRED_TO]->(b)
OPTIONAL MATCH (b)-[received:TRANSFERRED_TO]->(a)
RETURN b.id AS other_id,
       sent.count AS sent,
       sent.amount AS sent_amount,
       received.count AS received,
       received.amount AS received_amount,
       b.label AS label,
       b.score AS score
ORDER BY other_id
