// question: From which networks do many accounts come that were created in this time?
// when: Sign-ups rise: is it one /24 or /48, spread over its addresses?
// group: time
// maturity: stable
// param: since time 1970-01-01T00:00:00Z Accounts created before this are left out.
// param: until time 2200-01-01T00:00:00Z Accounts created at or after this are left out.
// param: min_accounts int 3 Networks of fewer such accounts than this are left out.
// columns: network, new_accounts, ips, first_created, last_created
// example: since=2026-03-02 min_accounts=2
MATCH (a:Account)-[:USED_IP]->(x:Ip)-[:IN_NETWORK]->(n:Network)
WHERE a.created_at >= $since AND a.created_at < $until
WITH n,
     count(DISTINCT a.id) AS accounts,
     count(DISTINCT x.token) AS addresses,
     min(a.created_at) AS first_created,
     max(a.created_at) AS last_created
WHERE accounts >= $min_accounts
RETURN n.cidr AS network,
       accounts AS new_accounts,
       addresses AS ips,
       first_created AS first_created,
       last_created AS last_created
ORDER BY new_accounts DESC, network
