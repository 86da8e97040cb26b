// question: Which tool chains does this account run, and who else runs them?
// when: An agent is suspected: is its program unique?
// group: prompts and agents
// maturity: stable
// param: account string - Id of the account.
// columns: chain, tools, runs, accounts, first_seen, last_seen
// example: account=a1
MATCH (a:Account {id: $account})-[ran:RAN]->(t:ToolChain)
RETURN t.id AS chain,
       t.tools AS tools,
       ran.count AS runs,
       t.accounts AS accounts,
       ran.first_seen AS first_seen,
       ran.last_seen AS last_seen
ORDER BY runs DESC, chain
