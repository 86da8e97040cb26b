// question: Which accounts come from this network?
// when: A /24 or /48 is reported, or stands out in `sign-up-networks`.
// group: entity
// maturity: stable
// param: network string - The network, like 203.0.113/24 or 2001:db8:1::/48.
// columns: account_id, ips, uses, first_seen, last_seen, status, label, score
// example: network=81.2.69/24
MATCH (n:Network {cidr: $network})<-[:IN_NETWORK]-(x:Ip)<-[used:USED_IP]-(a:Account)
RETURN a.id AS account_id,
       count(DISTINCT x.token) AS ips,
       sum(used.count) AS uses,
       min(used.first_seen) AS first_seen,
       max(used.last_seen) AS last_seen,
       a.status AS status,
       a.label AS label,
       a.score AS score
ORDER BY uses DESC, account_id
