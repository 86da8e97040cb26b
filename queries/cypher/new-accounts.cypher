// question: Which accounts were created in this time, and which of them look bad already?
// when: After a weekend, or a campaign: who came?
// group: time
// maturity: stable
// param: since time 1970-01-01T00:00:00Z What came before this is left out.
// param: until time 2200-01-01T00:00:00Z What came at or after this is left out.
// param: min_score float 0 Accounts of a lower score are left out.
// columns: account_id, created_at, status, country, plan, events, harm_rate, score
// example: since=2026-03-04 min_score=0
MATCH (a:Account)
WHERE a.created_at >= $since AND a.created_at < $until AND a.score >= $min_score
RETURN a.id AS account_id,
       a.created_at AS created_at,
       a.status AS status,
       a.country AS country,
       a.plan AS plan,
       a.events AS events,
       a.harm_rate AS harm_rate,
       a.score AS score
ORDER BY score DESC, account_id
