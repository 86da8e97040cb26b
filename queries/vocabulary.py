"""The words of the Cypher that may be asked: everything that is in no list here is refused."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


CLAUSES = _words("MATCH OPTIONAL WITH UNWIND RETURN")

WRITING = _words(
    """
    ALTER ATTACH BEGIN CALL CHECKPOINT COMMENT COMMIT COPY CREATE CYPHER DELETE DENY DETACH DROP EXPLAIN EXPORT
    FINISH FOREACH GRANT IMPORT INSERT INSTALL LOAD MERGE PROFILE REMOVE RENAME REVOKE ROLLBACK SET SHOW
    TERMINATE UNINSTALL UPDATE USE YIELD"""
)
"""No name unless in backquotes, so that a refusal can say the word; what is in no list is refused as well."""

RESERVED = (
    CLAUSES
    | WRITING
    | _words(
        """
    AND AS ASC ASCENDING BY CASE CONTAINS DESC DESCENDING DISTINCT ELSE END ENDS FALSE IN IS LIMIT NOT NULL OR ORDER
    SKIP STARTS THEN TRUE UNION WHEN WHERE XOR"""
    )
)

AGGREGATES = _words("avg collect count max min percentilecont percentiledisc stdev stdevp sum")

FUNCTIONS = AGGREGATES | _words(
    """
    abs acos array_contains asin atan atan2 ceil ceiling char_length coalesce concat contains cos cot date date_part
    date_trunc datepart datetrunc datetime degrees duration e element_id elementid endnode ends_with epoch_ms
    exists exp floor greatest haslabel head id interval isempty keys label labels last lcase least left length
    list_append list_concat list_contains list_distinct list_element list_extract list_position list_reverse
    list_slice list_sort list_sum list_unique ln localdatetime log log10 log2 lower ltrim nodes nullif offset pi
    point pow prefix properties radians range regexp_extract regexp_matches rels relationships replace reverse
    right round rtrim sign sin size split split_part sqrt starts_with startnode start_node end_node string_split
    substr substring suffix tail tan time_bucket timestamp to_epoch_ms toboolean tofloat tofloatornull tointeger
    tointegerornull tolower tostring tostringornull toupper trim type typeof ucase upper valuetype date.truncate
    datetime.fromepoch datetime.fromepochmillis datetime.truncate duration.between duration.indays
    duration.inmonths duration.inseconds localdatetime.truncate point.distance"""
)
"""In small letters, with their namespace. None reads a file, a setting or the network, and none keeps a state."""

QUANTIFIERS = _words("all any none single")
SHORTEST = _words("shortestpath allshortestpaths")

PROCEDURES = _words("db.labels db.propertykeys db.relationshiptypes show_tables table_info")
"""What may be called: names of labels, types and properties; the first three are Neo4j's, the others the embedded
store's."""
