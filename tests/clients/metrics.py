#!/usr/bin/env python3
"""What /metrics says, read by Prometheus' own parser: every family once, buckets that add up, and
numbers that fit what was asked.

    python tests/clients/metrics.py                   # needs: pip install prometheus_client
"""
import json
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

import server


def ask(url, path, body):
    request = urllib.request.Request(url + path, json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.loads(reply.read())


def read(url):
    families = {}
    for family in text_string_to_metric_families(server.get(url + "/metrics")):
        assert family.name not in families and family.documentation, family.name
        families[family.name] = family
    return families


def check_histogram(family):
    series = {}
    for s in family.samples:
        labels = tuple(sorted((k, v) for k, v in s.labels.items() if k != "le"))
        series.setdefault(labels, []).append(s)
    for samples in series.values():
        buckets = [s for s in samples if s.name.endswith("_bucket")]
        counts = [s.value for s in buckets]
        bounds = [float(s.labels["le"]) for s in buckets]
        assert counts == sorted(counts) and bounds == sorted(bounds), family.name
        assert bounds[-1] == float("inf")
        total = [s.value for s in samples if s.name.endswith("_count")]
        assert total == [counts[-1]], family.name


def value(families, name, sample=None):
    return sum(s.value for s in families[name].samples if s.name == (sample or name))


def main():
    with server.running() as url:
        r = ask(url, "/completion", {"prompt": "Once upon a time", "n_predict": 7})
        families = read(url)
        for family in families.values():
            if family.type == "histogram":
                check_histogram(family)
        assert value(families, "llamacpp:tokens_predicted", "llamacpp:tokens_predicted_total") == 7
        assert value(families, "llamacpp:prompt_tokens",
                     "llamacpp:prompt_tokens_total") == r["tokens_evaluated"]
        assert value(families, "verge_memory_bytes") > 1_000_000
        assert value(families, "process_resident_memory_bytes") > 1_000_000
        name = "gen_ai_server_time_to_first_token_seconds"
        assert value(families, name, name + "_count") == 1
        print(f"metrics: {len(families)} families: OK")


main()
