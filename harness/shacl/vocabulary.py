"""The words of SHACL: which predicates are constraints, which hold shapes, and what is known but not evaluated here."""

from __future__ import annotations

from typing import Final

from rdflib import SH, URIRef
from rdflib.term import Node

TARGETS: Final = (SH.targetClass, SH.targetNode, SH.targetSubjectsOf, SH.targetObjectsOf)
LISTS_OF_SHAPES: Final = (SH["and"], SH["or"], SH.xone)
SHAPES: Final = (SH.property, SH.node, SH["not"], SH.qualifiedValueShape)  # their values are shapes
COUNTS: Final = (SH.minCount, SH.maxCount, SH.minLength, SH.maxLength, SH.qualifiedMinCount, SH.qualifiedMaxCount)
BOOLEANS: Final = (SH.closed, SH.uniqueLang, SH.deactivated, SH.qualifiedValueShapesDisjoint)
IRIS: Final = (
    *(SH["class"], SH.datatype, SH.equals, SH.disjoint, SH.lessThan, SH.lessThanOrEquals),
    *(SH.targetClass, SH.targetSubjectsOf, SH.targetObjectsOf, SH.severity),
)
LITERALS: Final = (SH.minInclusive, SH.maxInclusive, SH.minExclusive, SH.maxExclusive, SH.pattern, SH.flags, SH.message)
LISTS: Final = (SH["in"], SH.languageIn, SH.ignoredProperties, *LISTS_OF_SHAPES)
ONLY_ONCE: Final = (
    *(SH.path, SH.deactivated, SH.severity, SH.datatype, SH.nodeKind, SH.pattern, SH.flags, SH.uniqueLang, SH.languageIn, SH.closed),
    *(SH["in"], SH.ignoredProperties, *COUNTS, *LITERALS[:4]),
)
ONLY_AT_PROPERTIES: Final = (SH.minCount, SH.maxCount, SH.uniqueLang, SH.lessThan, SH.lessThanOrEquals)
FLAGS: Final = (SH.closed, SH.uniqueLang, SH.deactivated)
NODE_KINDS: Final = frozenset(SH[name] for name in ("BlankNode", "IRI", "Literal", "BlankNodeOrIRI", "BlankNodeOrLiteral", "IRIOrLiteral"))
PATHS: Final = (SH.inversePath, SH.alternativePath, SH.zeroOrMorePath, SH.oneOrMorePath, SH.zeroOrOnePath)
# What states something about the data by itself; the others (flags, names, messages) only go with one of them.
CONSTRAINTS: Final = (
    *(SH["class"], SH.datatype, SH.nodeKind, SH.minCount, SH.maxCount, SH.minLength, SH.maxLength, SH.pattern, SH.languageIn),
    *(SH.minInclusive, SH.maxInclusive, SH.minExclusive, SH.maxExclusive, SH.uniqueLang, SH.equals, SH.disjoint, SH.lessThan),
    *(SH.lessThanOrEquals, SH["not"], SH["in"], SH.hasValue, SH.closed, SH.sparql, *LISTS_OF_SHAPES),
)
# Known, and evaluated by none of the engines here: SHACL-JS, the advanced features, SHACL 1.2.
NOT_EVALUATED: Final = frozenset(
    URIRef(f"{SH}{name}")
    for name in (
        *("js", "expression", "target", "rule", "nodeByExpression", "values", "defaultValue", "targetWhere", "shape"),
        *("uniqueMembers", "memberShape", "minListLength", "maxListLength", "reifierShape", "reificationRequired"),
        *("singleLine", "someValue", "subsetOf", "rootClass", "uniqueValuesFor"),
    )
)
_RESERVED: Final = ("and", "in", "not", "or", "if", "then", "else", "class")
_ADVANCED: Final = (
    *("count", "distinct", "exists", "groupConcat", "limit", "max", "min", "minus", "offset", "orderBy", "sum", "desc", "separator"),
    *("sparqlExpr", "intersection", "union", "codeIdentifier", "debug", "trace", "conformanceDisallows", "agentInstruction"),
)
WORDS: Final = frozenset(map(str, dir(SH))) | {f"{SH}{name}" for name in (*_RESERVED, *_ADVANCED)} | {str(word) for word in NOT_EVALUATED}


def local(word: Node | str) -> str:
    """``sh:`` and the rest."""
    return f"sh:{str(word).rpartition('#')[2]}"
