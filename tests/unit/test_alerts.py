"""Alert rules ask for metrics that there are, by labels that these have, and each is told in the docs with what to
do."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml

from tools.generate_reference import metrics

RULES = Path("deploy/prometheus/alerts.yaml")
SCRAPING = Path("deploy/prometheus/prometheus.yaml")
PAGE = Path("docs/reference/alerts.md")
OF_PROMETHEUS = {"up", "process_resident_memory_bytes"}
"""Metrics that Prometheus or its client library tells."""
TARGET_LABELS = {"instance", "job"}
"""Labels that Prometheus adds; a metric that has one of them by itself would be renamed."""
SEVERITIES = {"page", "ticket"}


@cache
def known() -> dict[str, set[str]]:
    """The labels of each metric, by its name."""
    return {name: set(labels) for name, _, labels, _ in metrics()}


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def asked(expression: str) -> tuple[set[str], set[str]]:
    """The metrics that an expression asks for, and the labels that it names."""
    names: set[str] = set()
    labels: set[str] = set()

    def visit(node: promql.Expr) -> None:
        if isinstance(node, promql.VectorSelector):
            names.add(str(node.name))
            labels.update(each.name for each in node.matchers.matchers)
        elif isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            labels.update(node.modifier.labels)

    promql.walk(promql.parse(expression), visit)
    return names, labels


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_a_rule_asks_for_what_there_is(rule: dict[str, Any]) -> None:
    names, used = asked(rule["expr"])
    assert names
    assert names - known().keys() - OF_PROMETHEUS == set()
    labels = set().union(*(known().get(each, set()) for each in names)) | TARGET_LABELS
    named = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    assert (used | named) - labels == set()
    aggregated = re.search(r"\bby \(([^)]*)\)", rule["expr"])
    assert named <= (set(aggregated[1].split(", ")) if aggregated else labels)
    assert rule["labels"]["severity"] in SEVERITIES
    assert rule["annotations"]["runbook"] == f"{PAGE}#{rule['alert'].lower()}"


def told() -> Iterator[tuple[str, str]]:
    """Name and urgency of each alert on the page."""
    yield from re.findall(r"^### (\w+)\n\n`(\w+)`\. ", PAGE.read_text(), re.MULTILINE)


def test_each_rule_is_told_with_its_urgency_and_no_other_is() -> None:
    assert list(told()) == [(rule["alert"], rule["labels"]["severity"]) for rule in rules()]


def test_no_metric_has_a_label_that_prometheus_adds() -> None:
    assert {name for name, labels in known().items() if labels & TARGET_LABELS} == set()


def test_the_page_of_an_alert_names_metrics_that_there_are() -> None:
    named = set(re.findall(r"`(upline_[a-z_]+)`", PAGE.read_text()))
    assert named
    assert named - known().keys() == set()


def test_prometheus_finds_the_rules_and_the_containers() -> None:
    scraping = yaml.safe_load(SCRAPING.read_text())
    assert [SCRAPING.parent / each for each in scraping["rule_files"]] == [RULES]
    (job,) = scraping["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    compose = yaml.safe_load(Path("docker-compose.yml").read_text())["services"]
    telling = {name for name, each in compose.items() if "UPLINE_METRICS_PORT" in (each.get("environment") or {})}
    assert set(found["names"]) == telling - {"cli"}
    assert {str(found["port"])} == {compose[name]["environment"]["UPLINE_METRICS_PORT"] for name in found["names"]}
    assert all(f'job="{job["job_name"]}"' in rule["expr"] for rule in rules() if "job=" in rule["expr"])
