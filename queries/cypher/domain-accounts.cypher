// question: Which accounts have a mailbox at this domain?
// when: A domain is disposable, or was registered by an operator.
// group: entity
// maturity: stable
// param: domain string - The email domain.
// columns: account_id, email, created_at, status, label, score
// example: domain=throwaway.example
MATCH (d:EmailDomain {domain: $domain})<-[:AT_DOMAIN]-(x:Email)<-[:HAS_EMAIL]-(a:Account)
RETURN a.id AS account_id,
       x.token AS email,
       a.created_at AS created_at,
       a.status AS status,
       a.label AS label,
       a.score AS score
ORDER BY created_at, account_id, email
