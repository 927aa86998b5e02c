"""Checks the output of `cargo metadata` (standard input) against the licences, bans and sources of deny.toml.

    cargo metadata --format-version 1 | python3 scripts/check-dependencies.py deny.toml NAME

A stand-in for cargo-deny where that is not installed: the same file, the same rules, fewer checks. What it does not
understand in a licence expression is a failure, never a pass.
"""

import json
import re
import sys

try:
    import tomllib
except ImportError:
    sys.exit("check-dependencies: Python 3.11 or newer is needed to read deny.toml (or install cargo-deny)")


def permitted(expression: str, allowed: set[str]) -> bool:
    """Whether an SPDX expression (AND binds tighter than OR) can be met with allowed licences."""
    tokens = re.findall(r"[()]|[A-Za-z0-9.+-]+(?: WITH [A-Za-z0-9.-]+)?", expression.replace("/", " OR "))
    at = 0

    def alternatives() -> bool:
        nonlocal at
        good = conjunction()
        while at < len(tokens) and tokens[at] == "OR":
            at += 1
            good = conjunction() or good
        return good

    def conjunction() -> bool:
        nonlocal at
        good = licence()
        while at < len(tokens) and tokens[at] == "AND":
            at += 1
            good = licence() and good
        return good

    def licence() -> bool:
        nonlocal at
        token = tokens[at]
        at += 1
        if token != "(":
            return token in allowed
        good = alternatives()
        if tokens[at] != ")":
            raise IndexError
        at += 1
        return good

    try:
        good = alternatives()
    except IndexError:
        return False
    return good and at == len(tokens)


def problems(metadata: dict, rules: dict):
    packages = {package["id"]: package for package in metadata["packages"]}
    allowed = set(rules["licenses"]["allow"])
    sources = {"registry+" + registry for registry in rules["sources"]["allow-registry"]}
    for package in packages.values():
        name = f"{package['name']} {package['version']}"
        if not permitted(package["license"] or "", allowed):
            yield f"{name}: the licence {package['license'] or '(none)'} is not allowed"
        if package["source"] and package["source"] not in sources:
            yield f"{name}: it comes from {package['source']}, which is not allowed"
        # A member of the workspace has no source; one by path needs no version.
        if package["source"] is None:
            for wanted in package["dependencies"]:
                if wanted["req"] == "*" and "path" not in wanted:
                    yield f"{name}: it takes any version of {wanted['name']}"

    banned = {rule["crate"]: rule.get("wrappers", []) for rule in rules["bans"]["deny"]}
    for node in metadata["resolve"]["nodes"]:
        dependent = packages[node["id"]]["name"]
        for dependency in node["deps"]:
            name = packages[dependency["pkg"]]["name"]
            if name in banned and dependent not in banned[name]:
                yield f"{dependent}: it depends on {name}, which deny.toml keeps out"


def main() -> int:
    rules_path, what = sys.argv[1:3]
    with open(rules_path, "rb") as file:
        rules = tomllib.load(file)
    metadata = json.load(sys.stdin)
    found = sorted(set(problems(metadata, rules)))
    for problem in found:
        print(f"check-dependencies: {problem}", file=sys.stderr)
    if not found:
        print(f"check-dependencies: {what}: {len(metadata['packages'])} packages keep the rules of {rules_path}")
    return 1 if found else 0


sys.exit(main())
