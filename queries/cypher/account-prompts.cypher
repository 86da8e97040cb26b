// question: Which families of prompts does this account send, and who else sends them?
// when: What does it use the models for, and is that its own text?
// group: prompts and agents
// maturity: stable
// param: account string - Id of the account.
// columns: family, prompts, accounts, harm_rate, first_seen, last_seen
// example: account=a1
MATCH (a:Account {id: $account})-[sent:SENT]->(p:PromptFamily)
RETURN p.id AS family,
       sent.count AS prompts,
       p.accounts AS accounts,
       p.harm_rate AS harm_rate,
       sent.first_seen AS first_seen,
       sent.last_seen AS last_seen
ORDER BY prompts DESC, family
