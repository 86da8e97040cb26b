// question: Which IP addresses do the most accounts use, and what is known of them?
// when: Before trusting shared addresses: busy ones of no known kind are candidates for the entities table.
// group: entity
// maturity: stable
// param: min_accounts int 3 Addresses of fewer accounts than this are left out.
// columns: ip, network, accounts, abusive_accounts, known_kind
// example: min_accounts=3
MATCH (a:Account)-[:USED_IP]->(x:Ip)-[:IN_NETWORK]->(n:Network)
WITH x, n, count(DISTINCT a.id) AS accounts, count(DISTINCT CASE WHEN a.label = 'abusive' THEN a.id END) AS abusive
WHERE accounts >= $min_accounts
RETURN x.token AS ip,
       n.cidr AS network,
       accounts AS accounts,
       abusive AS abusive_accounts,
       coalesce(x.kind, 'unknown') AS known_kind
ORDER BY accounts DESC, ip
